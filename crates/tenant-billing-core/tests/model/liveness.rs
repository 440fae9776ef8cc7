//! How each state goes on when nothing goes wrong any more.
//!
//! The continuation is one fixed run: processes under way go on, Stripe delivers its webhooks, the
//! worker and a caller take their turns, events stay behind for as long as they may, and where all
//! can only wait, the clock moves to the moment that the row names. It is tried twice: the requests
//! that are on their way at the start are executed, or are lost. That makes "sooner or later" a
//! property of one state, which no cycle of retries can hide.
//!
//! Both are tried once more with every process stopped at the start and without any later call:
//! recovery alone must lose nothing.

use std::{cell::RefCell, sync::atomic::Ordering};

use crate::{
    concrete::{Ask, Todo},
    fast_map::FastMap,
    system::{Act, System},
    world::{Ev, Failed, GOOD, Id, Minutes, Pc, St, World, has},
};

/// So many steps, each a call to the database or to Stripe or a move of the clock, are enough.
pub(crate) const WITHIN: u32 = 40;

/// Who acts in a continuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// The worker, and a caller when it has nothing to do.
    All,
    Worker,
}

thread_local! {
    /// How many steps a state is from its end. (A checker's threads serve one configuration only.)
    static KNOWN: RefCell<FastMap<(World, Who), Option<u32>>> = RefCell::default();
}

/// Whether both continuations end well, soon enough.
pub(crate) fn ends_well(system: &System, world: &World) -> bool {
    starts(world).into_iter().all(|start| ends(system, start, Who::All))
}

/// Whether recovery alone loses nothing after every process has stopped. (It cannot know what a
/// restored backup does not hold. Where the restore is known, the next caller makes an inquiry.)
pub(crate) fn recovers(system: &System, world: &World) -> bool {
    if world.restored.is_some() && !system.careful {
        return true;
    }
    let mut dead = world.clone();
    for pc in &mut dead.procs {
        if let Pc::Await { flying, .. } = std::mem::replace(pc, Pc::Idle) {
            dead.orphans.push(flying);
        }
    }
    starts(&dead).into_iter().all(|start| ends(system, start, Who::Worker))
}

fn ends(system: &System, start: World, who: Who) -> bool {
    let steps = steps(system, start, who);
    system.longest.fetch_max(steps.unwrap_or_default(), Ordering::Relaxed);
    steps.is_some()
}

/// The two ways in which what is in the air may come down.
pub(crate) fn starts(world: &World) -> [World; 2] {
    let mut comes_true = world.clone();
    (comes_true.jumps, comes_true.faults, comes_true.bound_dead) = (0, 0, false);
    let mut comes_to_nothing = comes_true.clone();
    comes_to_nothing.orphans.clear();
    comes_to_nothing.stripe.late = None;
    for pc in &mut comes_to_nothing.procs {
        if let Pc::Await { flying, .. } = pc {
            *pc = Pc::Write(Ev::AnsweredWithoutCustomer { g: flying.req.g, failed: Failed::Retry });
        }
    }
    [comes_true, comes_to_nothing]
}

fn steps(system: &System, mut world: World, who: Who) -> Option<u32> {
    let mut way = Vec::new();
    let mut rest = loop {
        let state = (world, who);
        let known = KNOWN.with_borrow(|known| known.get(&state).copied());
        if let Some(known) = known {
            break known;
        }
        world = state.0;
        if at_rest(&world, who) {
            break Some(0);
        }
        if way.len() > WITHIN as usize {
            break None;
        }
        let next = onward(system, &world, who);
        way.push(world);
        match next {
            Some((_, next)) => world = next,
            None => break None,
        }
    };
    KNOWN.with_borrow_mut(|known| {
        for world in way.into_iter().rev() {
            rest = rest.map(|rest| rest + 1).filter(|steps| *steps <= WITHIN);
            known.insert((world, who), rest);
        }
    });
    rest
}

/// Nothing is under way, and no live Customer is left that is neither bound nor on record. Where
/// there is a caller, the tenant is bound to a live one; else the next caller has to replace a row
/// that is gone.
fn at_rest(world: &World, who: Who) -> bool {
    let ours = world.stripe.ours();
    let kept = |id: Id| has(ours, id) && ours & !(1 << id) & !world.db.surplus == 0;
    let still = world.procs.iter().all(|pc| *pc == Pc::Idle)
        && world.orphans.is_empty()
        && world.stripe.late.is_none()
        && !matches!(world.row(), Some(St::Pending(_) | St::InDoubt { .. }));
    still
        && match (who, world.db.bound, world.row()) {
            (_, Some(bound), _) => kept(bound),
            (Who::All, None, _) => false,
            (Who::Worker, None, None) => true,
            (Who::Worker, None, Some(St::Provisioned(provisioned))) => {
                kept(provisioned) || !has(ours, provisioned)
            }
            (Who::Worker, None, Some(_)) => ours & !world.db.surplus == 0,
        }
}

/// The next step of the continuation.
pub(crate) fn onward(system: &System, world: &World, who: Who) -> Option<(Act, World)> {
    let step = |act| Some((act, system.after(world, act)?));
    if !world.orphans.is_empty() {
        return step(Act::Orphan(0));
    }
    if world.stripe.late.is_some() {
        return step(Act::Surfaces);
    }
    for (p, pc) in world.procs.iter().enumerate() {
        return step(match pc {
            Pc::Idle => continue,
            Pc::Commit { .. } => Act::Commit(p),
            Pc::Await { .. } => Act::Answer(p),
            Pc::Confirm { .. } | Pc::Retrieve(_) => Act::Retrieve(p),
            Pc::Inquire(_) => Act::Read { p, behind: true },
            Pc::Write(_) => Act::Decide(p),
        });
    }
    for (id, it) in (0..8).zip(&world.stripe.customers) {
        if it.dead && !has(world.db.known_deleted, id) {
            return step(Act::DeletionTold(id));
        }
    }
    if let Some(wait) = waits(system, world) {
        let mut w = world.clone();
        w.pass(wait.max(2));
        return Some((Act::Passes(wait.max(2)), w));
    }
    let caller = || step(Act::Begin(0, Ask::Caller(GOOD)));
    step(Act::Begin(0, Ask::Worker)).or_else(|| caller().filter(|_| who == Who::All))
}

/// How long there is nothing to do but to wait: as `next` says, or until an inquiry may be
/// conclusive.
fn waits(system: &System, world: &World) -> Option<Minutes> {
    match (world.row()?, system.next(world, Ask::Caller(GOOD))) {
        (St::InDoubt { conclusive, .. }, _) if conclusive > 0 => Some(conclusive),
        (_, Todo::RetryAt(minutes)) => Some(minutes),
        _ => None,
    }
}
