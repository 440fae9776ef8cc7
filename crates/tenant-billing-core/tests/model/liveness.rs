//! What becomes of a state when nothing goes wrong any more.
//!
//! The continuation is one fixed run: whoever is under way goes on, Stripe delivers its webhooks, the
//! worker and a caller take their turns, events stay behind for as long as they may, and where all can
//! only wait, the clock moves to the moment that the row names. It is tried twice: what is in the air
//! at the start comes true, or comes to nothing. That makes "sooner or later" a property of one state,
//! which no cycle of retries can hide.

use std::{cell::RefCell, sync::atomic::Ordering};

use crate::{
    concrete::{Ask, Todo},
    memory::Memory,
    system::{Act, System},
    world::{Ev, Failed, GOOD, Id, Minutes, Pc, St, World, has},
};

/// So many steps, each a call to the database or to Stripe or a move of the clock, are enough.
pub(crate) const WITHIN: u32 = 40;

thread_local! {
    /// How many steps a state is from its end. (A checker's threads serve one configuration only.)
    static KNOWN: RefCell<Memory<World, Option<u32>>> = RefCell::default();
}

/// Whether both continuations end well, soon enough.
pub(crate) fn lands(system: &System, world: &World) -> bool {
    starts(world).into_iter().all(|start| {
        let steps = steps(system, start);
        system.longest.fetch_max(steps.unwrap_or_default(), Ordering::Relaxed);
        steps.is_some()
    })
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
            *pc = Pc::Write(Ev::Answered { g: flying.req.g, failed: Failed::Again });
        }
    }
    [comes_true, comes_to_nothing]
}

fn steps(system: &System, mut world: World) -> Option<u32> {
    let mut way = Vec::new();
    let mut rest = loop {
        let known = KNOWN.with_borrow(|known| known.get(&world).copied());
        if let Some(known) = known {
            break known;
        }
        if landed(&world) {
            break Some(0);
        }
        if way.len() > WITHIN as usize {
            break None;
        }
        let next = onward(system, &world);
        way.push(world);
        match next {
            Some((_, next)) => world = next,
            None => break None,
        }
    };
    KNOWN.with_borrow_mut(|known| {
        for world in way.into_iter().rev() {
            rest = rest.map(|rest| rest + 1).filter(|steps| *steps <= WITHIN);
            known.insert(world, rest);
        }
    });
    rest
}

/// Bound to a live Customer, nothing under way, and no other live one that is not on record.
fn landed(world: &World) -> bool {
    let ours = world.stripe.ours();
    let others = |id: Id| ours & !(1 << id) & !world.db.surplus;
    world.procs.iter().all(|pc| *pc == Pc::Idle)
        && world.orphans.is_empty()
        && world.stripe.late.is_none()
        && world.db.bound.is_some_and(|id| has(ours, id) && others(id) == 0)
        && !matches!(world.db.row.map(|row| row.st), Some(St::Pending(_) | St::Suspect { .. }))
}

/// The next step of the continuation.
pub(crate) fn onward(system: &System, world: &World) -> Option<(Act, World)> {
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
            Pc::Look(_) => Act::Read { p, behind: true },
            Pc::Write(_) => Act::Decide(p),
        });
    }
    for (id, it) in (0..8).zip(&world.stripe.customers) {
        if it.dead && !has(world.db.told, id) {
            return step(Act::Told(id));
        }
    }
    if let Some(wait) = waits(system, world) {
        let mut w = world.clone();
        w.pass(wait.max(2));
        return Some((Act::Passes(wait.max(2)), w));
    }
    step(Act::Begin(0, Ask::Worker)).or_else(|| step(Act::Begin(0, Ask::Caller(GOOD))))
}

/// How long there is nothing to do but to wait: as `next` says, or until a look may count.
fn waits(system: &System, world: &World) -> Option<Minutes> {
    match (world.row()?, system.next(world, Ask::Caller(GOOD))) {
        (St::Suspect { quiet, .. }, _) if quiet > 0 => Some(quiet),
        (_, Todo::Later(minutes)) => Some(minutes),
        _ => None,
    }
}
