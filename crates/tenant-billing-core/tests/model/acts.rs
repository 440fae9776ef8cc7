//! What can happen next: what goes right, and what the configuration lets go wrong.

use crate::{
    bridge::ids,
    concrete::Ask,
    system::{Act, Fault, System},
    world::{Db, GOOD, KEY_KEPT, Key, Minutes, Pc, Stripe, World},
};

impl System {
    /// All that can happen in `world`, what goes right first.
    pub(crate) fn acts(&self, world: &World, acts: &mut Vec<Act>) {
        for (p, pc) in world.procs.iter().enumerate() {
            match pc {
                Pc::Idle => {
                    acts.extend(
                        [Ask::Worker, Ask::Caller(GOOD), Ask::Caller(self.other())]
                            .map(|ask| Act::Begin(p, ask)),
                    );
                    if self.webhooks {
                        let all = (0..8).zip(&world.stripe.customers);
                        let ours = all.filter(|(_, it)| !it.foreign);
                        acts.extend(ours.map(|(id, _)| Act::Hook(p, id)));
                    }
                }
                Pc::Commit { .. } => acts.push(Act::Commit(p)),
                Pc::Await { flying, .. } => {
                    acts.push(Act::Answer(p));
                    if world.flying(flying.req.g) > 1 {
                        acts.push(Act::InUse(p));
                    }
                }
                Pc::Confirm { .. } | Pc::Retrieve(_) => acts.push(Act::Retrieve(p)),
                Pc::Inquire(_) => {
                    acts.push(Act::Read { p, behind: false });
                    if world.stripe.can_be_behind() {
                        acts.push(Act::Read { p, behind: true });
                    }
                }
                Pc::Write(_) => acts.push(Act::Decide(p)),
            }
        }
        acts.extend((0..world.orphans.len()).map(Act::Orphan));
        if world.stripe.late.is_some() {
            acts.push(Act::Surfaces);
        }
        for (id, it) in (0..8).zip(&world.stripe.customers) {
            if it.dead {
                acts.push(Act::DeletionTold(id));
            }
        }
        for g in 0..world.stripe.keys.len() {
            let g = u8::try_from(g).expect("few keys");
            if world.stripe.key_age(g).is_some_and(|age| age >= KEY_KEPT) {
                acts.push(Act::Forgets(g));
            }
        }
        if world.jumps > 0 {
            acts.extend(self.clock.iter().map(|by| Act::Passes(*by)));
        }
        if world.faults > 0 {
            for fault in self.kinds {
                self.faults(world, *fault, acts);
            }
        }
    }

    fn faults(&self, world: &World, fault: Fault, acts: &mut Vec<Act>) {
        match fault {
            Fault::Deleted => {
                let live = ids(world.stripe.ours());
                acts.extend(live.map(Act::Deleted));
            }
            Fault::Nulled => acts.extend(world.db.bound.map(|_| Act::Nulled)),
            Fault::RowLost => acts.extend(world.db.row.map(|_| Act::RowLost)),
            Fault::Restored => {
                if world.restored.is_none() && world.db != Db::default() {
                    acts.push(Act::Restored);
                }
            }
            fault => {
                let able = world.procs.iter().enumerate().filter(|(_, pc)| {
                    let known = |req| world.stripe.remembered(req).is_some();
                    match (fault, pc) {
                        (_, Pc::Idle) => false,
                        (Fault::Crash, _) => true,
                        (Fault::Orphan, Pc::Await { .. }) => world.orphans.len() < 2,
                        (Fault::Stored500(_), Pc::Await { flying, .. }) => {
                            !known(flying.req) && !self.refuses(flying.req.body)
                        }
                        (
                            Fault::RequestLost
                            | Fault::AnswerLost
                            | Fault::Plain500
                            | Fault::Masked500
                            | Fault::Denied,
                            Pc::Await { .. },
                        ) => true,
                        (Fault::InquiryFails, Pc::Inquire(_)) => true,
                        (Fault::RetrieveFails, Pc::Confirm { .. } | Pc::Retrieve(_)) => true,
                        _ => false,
                    }
                });
                acts.extend(able.map(|(p, _)| Act::Fault(p, fault)));
                if let Fault::Stored500(leaves) = fault {
                    let orphans = world.orphans.iter().enumerate().filter(|(_, it)| {
                        world.stripe.remembered(it.req).is_none() && !self.refuses(it.req.body)
                    });
                    acts.extend(orphans.map(|(o, _)| Act::OrphanFails(o, leaves)));
                }
            }
        }
    }
}

impl World {
    /// How many requests of a key are on their way.
    fn flying(&self, g: u8) -> usize {
        let sent = self.procs.iter().filter_map(|pc| match pc {
            Pc::Await { flying, .. } => Some(flying),
            _ => None,
        });
        sent.chain(&self.orphans).filter(|it| it.req.g == g).count()
    }
}

impl Stripe {
    fn key_age(&self, g: u8) -> Option<Minutes> {
        match self.keys[usize::from(g)] {
            Key::Unknown => None,
            Key::Made(id) => Some(self.customers[usize::from(id)].age),
            Key::Failed { age, .. } => Some(age),
        }
    }
}
