//! How each thing that happens changes the world: the loop of `driver.rs`, one await at a time.

use crate::{
    bridge::ids,
    concrete::{Ask, Snapshot, Todo},
    stripe::Answer,
    system::{Act, Fault, System, Twist},
    world::{Col, Ev, Failed, Flying, Found, Key, Pc, Req, St, World},
};

impl System {
    /// The world after `act`; `None` if that makes no difference.
    pub(crate) fn after(&self, world: &World, act: Act) -> Option<World> {
        let mut w = world.clone();
        match act {
            Act::Begin(p, ask) => w.procs[p] = self.entered(self.next(&w, ask))?,
            Act::Hook(p, id) => {
                let g = w.stripe.customers[usize::from(id)].req.g;
                w.procs[p] = Pc::Confirm { g, id };
            }
            Act::Commit(p) => self.commit(&mut w, p),
            Act::Answer(p) => self.answer(&mut w, p),
            Act::InUse(p) => w.procs[p] = Pc::Idle,
            Act::Retrieve(p) => self.retrieve(&mut w, p),
            Act::Read { p, behind } => self.read(&mut w, p, behind),
            Act::Decide(p) => self.decide(&mut w, p),
            Act::Fault(p, fault) => {
                w.faults = w.faults.saturating_sub(1);
                self.fail(&mut w, p, fault);
            }
            Act::Orphan(o) => {
                let req = w.orphans.remove(o).req;
                w.stripe.execute(req, self.refuses(req.body));
            }
            Act::OrphanFails(o, leaves) => {
                w.faults -= 1;
                let req = w.orphans.remove(o).req;
                w.stripe.fail(req, leaves);
            }
            Act::Surfaces => {
                let (req, _) = w.stripe.late.take()?;
                w.stripe.make(req, false);
            }
            Act::Deleted(id) => {
                w.faults -= 1;
                w.stripe.customers[usize::from(id)].dead = true;
            }
            Act::DeletionTold(id) => w.record_deletion(id, self.swap()),
            Act::Nulled => {
                w.faults -= 1;
                w.db.bound = None;
            }
            Act::RowLost => {
                w.faults -= 1;
                w.db.row = None;
                w.row_moved(true);
                w.pass(2);
            }
            Act::Restored => {
                w.faults -= 1;
                w.restore();
            }
            Act::Forgets(g) => w.stripe.keys[usize::from(g)] = Key::Unknown,
            Act::Passes(by) => {
                w.jumps -= 1;
                w.pass(by);
            }
        }
        w.tidy(self.symmetric);
        (w != *world).then_some(w)
    }

    fn entered(&self, todo: Todo) -> Option<Pc> {
        match todo {
            Todo::Commit(plan) => Some(Pc::Commit { plan, of: None }),
            Todo::Send(req) => Some(Pc::Await { flying: Flying { req, age: 0 }, current: true }),
            Todo::Inquire(inquiry) => Some(Pc::Inquire(inquiry)),
            Todo::Retrieve(id) => Some(Pc::Retrieve(id)),
            Todo::Done(_) | Todo::GiveUp | Todo::RetryAt(_) | Todo::Idle => None,
        }
    }

    fn commit(&self, w: &mut World, p: usize) {
        let Pc::Commit { plan, of } = w.procs[p] else { unreachable!("nothing to commit") };
        w.procs[p] = Pc::Idle;
        if !w.db.write(&plan, self.swap()) {
            if let Some(ev) = of {
                w.procs[p] = Pc::Write(ev);
            }
            return;
        }
        if plan.row.is_some() {
            w.row_moved(self.swap());
        }
        if let (Col::Bind(_), Some(Ev::CreatedAlive { dead: true, .. })) = (plan.column, of) {
            w.bound_dead = true;
        }
        match (of, w.db.row.map(|row| (row.g, row.st))) {
            // A change that was written counts as the reading for the send that follows.
            (None, _) => {
                let todo = self.next(w, Ask::Worker);
                if let Todo::Send(_) | Todo::Inquire(_) = todo {
                    w.procs[p] = self.entered(todo).unwrap_or(Pc::Idle);
                }
            }
            // A row that was lost, or had given up this generation, is in doubt now: bind at once.
            (Some(ev @ Ev::CreatedAlive { g, .. }), Some((now, St::InDoubt { .. })))
                if now == g =>
            {
                w.procs[p] = Pc::Write(ev);
            }
            _ => {}
        }
    }

    fn answer(&self, w: &mut World, p: usize) {
        let Pc::Await { flying, current } = w.procs[p] else { unreachable!("nothing was sent") };
        let Flying { req, .. } = flying;
        let g = req.g;
        let failed = |failed| Pc::Write(Ev::AnsweredWithoutCustomer { g, failed });
        w.procs[p] = match w.stripe.execute(req, self.refuses(req.body)) {
            Answer::Rejected => failed(Failed::Rejected),
            Answer::StoredFailure => failed(Failed::StoredFailure),
            Answer::Mismatched => failed(Failed::Mismatched),
            Answer::Replay(id) if self.twist == Twist::TrustReplay => {
                Pc::Write(Ev::CreatedAlive { g, id, req, dead: w.stripe.dead(id) })
            }
            Answer::Replay(id) => Pc::Confirm { g, id },
            Answer::Fresh(id) => {
                let ev = Ev::CreatedAlive { g, id, req, dead: false };
                // A new Customer is first written from the view that permitted the send.
                let view = Snapshot { bound: None, deleted: 0, ..w.db.view(1 << id) };
                if current { self.planned(w, view, ev) } else { Pc::Write(ev) }
            }
        };
    }

    fn planned(&self, w: &World, view: Snapshot, ev: Ev) -> Pc {
        let plan = self.plan(w, view, ev);
        if plan.is_nothing() { Pc::Idle } else { Pc::Commit { plan, of: Some(ev) } }
    }

    fn decide(&self, w: &mut World, p: usize) {
        let Pc::Write(ev) = w.procs[p] else { unreachable!("nothing was learned") };
        let asked = match ev {
            Ev::CreatedAlive { id, .. } | Ev::StillExists(id) => 1 << id,
            Ev::InquiryEnded { found: Found::Ours(set), .. } => set,
            _ => 0,
        };
        w.procs[p] = self.planned(w, w.db.view(asked), ev);
    }

    fn retrieve(&self, w: &mut World, p: usize) {
        let (id, made) = match w.procs[p] {
            Pc::Confirm { g, id } => (id, Some(g)),
            Pc::Retrieve(id) => (id, None),
            pc => unreachable!("{pc:?} retrieves nothing"),
        };
        let dead = w.stripe.dead(id);
        if dead {
            w.record_deletion(id, self.swap());
        }
        let body = w.stripe.customers[usize::from(id)].req.body;
        w.procs[p] = match (made, dead) {
            (Some(g), true) => Pc::Write(Ev::CreatedButDeleted { g, id }),
            (Some(g), false) => {
                Pc::Write(Ev::CreatedAlive { g, id, req: Req { g, body }, dead: false })
            }
            (None, true) => Pc::Idle,
            (None, false) => Pc::Write(Ev::StillExists(id)),
        };
    }

    fn read(&self, w: &mut World, p: usize, behind: bool) {
        let Pc::Inquire(inquiry) = w.procs[p] else { unreachable!("no inquiry") };
        let (found, dead) = w.stripe.read(&inquiry, w.db.surplus, behind);
        for id in ids(dead) {
            w.record_deletion(id, self.swap());
        }
        let Pc::Inquire(inquiry) = w.procs[p] else { unreachable!("no inquiry") };
        w.procs[p] = Pc::Write(Ev::InquiryEnded { inquiry, found });
    }

    fn fail(&self, w: &mut World, p: usize, fault: Fault) {
        let again = |g| Pc::Write(Ev::AnsweredWithoutCustomer { g, failed: Failed::Retry });
        w.procs[p] = match (fault, w.procs[p]) {
            (Fault::Orphan, Pc::Await { flying, .. }) => {
                w.orphans.push(flying);
                Pc::Idle
            }
            (Fault::RequestLost | Fault::Plain500, Pc::Await { flying, .. }) => again(flying.req.g),
            (Fault::AnswerLost | Fault::Masked500, Pc::Await { flying, .. }) => {
                w.stripe.execute(flying.req, self.refuses(flying.req.body));
                again(flying.req.g)
            }
            (Fault::Stored500(leaves), Pc::Await { flying, .. }) => {
                w.stripe.fail(flying.req, leaves);
                again(flying.req.g)
            }
            (Fault::Denied, Pc::Await { flying, .. }) => {
                Pc::Write(Ev::AnsweredWithoutCustomer { g: flying.req.g, failed: Failed::Operator })
            }
            (Fault::InquiryFails, Pc::Inquire(inquiry)) => {
                Pc::Write(Ev::InquiryEnded { inquiry, found: Found::Inconclusive })
            }
            _ => Pc::Idle,
        };
    }
}
