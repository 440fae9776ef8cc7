//! What must hold in every state, and what must happen on the way.

use stateright::{Model, Property};

use crate::{
    liveness,
    stripe::Leaves,
    system::{Act, Fault, System},
    world::{KEY_KEPT, Minutes, St, World, has},
};

pub(crate) const ONE: &str = "never two live Customers that we created";
pub(crate) const SOUND: &str = "never bound to a deleted or foreign one";
pub(crate) const LIVE: &str = "left alone, it is soon bound, and no live Customer is left unbound";
pub(crate) const SAFE: &str = "left to recovery alone, no live Customer is left unbound";

impl Model for System {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![self.start()]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        self.acts(world, acts);
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let after = self.after(world, act)?;
        for (n, (_, is, _)) in HAPPENS.iter().enumerate() {
            if is(&act) {
                self.tally.count(n);
            }
        }
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always(ONE, |_, w: &World| w.stripe.ours().count_ones() <= 1),
            Property::always(SOUND, |_, w: &World| {
                let bad = |id| has(w.db.known_deleted, id) || w.stripe.is_foreign(id);
                !w.bound_dead && !w.db.bound.is_some_and(bad)
            }),
            Property::always(LIVE, liveness::ends_well),
            Property::always(SAFE, liveness::recovers),
        ];
        all.extend(STATES.iter().map(|(name, seen)| Property::sometimes(name, *seen)));
        if self.other_refused {
            let rejected: Sight = |_, w| matches!(w.row(), Some(St::Rejected(_)));
            all.push(Property::sometimes("a request is rejected", rejected));
        }
        let expected = HAPPENS.iter().filter(|(_, is, _)| self.expects(*is));
        all.extend(expected.map(|(name, _, seen)| Property::sometimes(name, *seen)));
        all
    }
}

impl System {
    /// Whether anything that `is` picks out can happen in this configuration.
    fn expects(&self, is: Is) -> bool {
        let mut acts = vec![Act::InUse(0)];
        for fault in self.kinds.iter().filter(|_| self.faults > 0) {
            match fault {
                Fault::Deleted => acts.extend([Act::Deleted(0), Act::DeletionTold(0)]),
                Fault::Nulled => acts.push(Act::Nulled),
                Fault::RowLost => acts.push(Act::RowLost),
                Fault::Restored => acts.push(Act::Restored),
                Fault::Orphan => acts.extend([Act::Fault(0, *fault), Act::Orphan(0)]),
                Fault::Stored500(Leaves::Shown) => {
                    acts.extend([Act::Fault(0, *fault), Act::Read { p: 0, behind: true }]);
                }
                Fault::Stored500(Leaves::Late) => {
                    acts.extend([Act::Fault(0, *fault), Act::Surfaces]);
                }
                fault => acts.push(Act::Fault(0, *fault)),
            }
        }
        acts.extend(self.clock.iter().map(|by| Act::Passes(*by)));
        let longest = self.clock.iter().max().map_or(0, |by| by * Minutes::from(self.jumps));
        acts.extend((longest >= KEY_KEPT).then_some(Act::Forgets(1)));
        acts.extend(self.webhooks.then_some(Act::Hook(0, 0)));
        acts.iter().any(is)
    }
}

type Is = fn(&Act) -> bool;
type Sight = fn(&System, &World) -> bool;

/// Places that every configuration must come to.
const STATES: &[(&str, Sight)] = &[
    ("a request is frozen", |_, w| matches!(w.row(), Some(St::Pending(_)))),
    ("a tenant is bound", |_, w| w.db.bound.is_some()),
    ("a row is in doubt", |_, w| matches!(w.row(), Some(St::InDoubt { .. }))),
    (
        "a second generation is frozen",
        |_, w| matches!(w.row(), Some(St::Pending(req)) if req.g > 1),
    ),
];

fn seen<const N: usize>(system: &System, _: &World) -> bool {
    system.tally.of(N) > 0
}

/// Things that happen between two states; each is a `sometimes` property of every configuration
/// that allows it.
const HAPPENS: &[(&str, Is, Sight)] = &[
    ("a process crashes", |it| matches!(it, Act::Fault(_, Fault::Crash)), seen::<0>),
    ("a sender dies or gives up", |it| matches!(it, Act::Fault(_, Fault::Orphan)), seen::<1>),
    ("a request is lost", |it| matches!(it, Act::Fault(_, Fault::RequestLost)), seen::<2>),
    ("an answer is lost", |it| matches!(it, Act::Fault(_, Fault::AnswerLost)), seen::<3>),
    ("an unstored 500", |it| matches!(it, Act::Fault(_, Fault::Plain500)), seen::<4>),
    ("a 500 over a success", |it| matches!(it, Act::Fault(_, Fault::Masked500)), seen::<5>),
    (
        "a stored 500 that left nothing",
        |it| matches!(it, Act::Fault(_, Fault::Stored500(Leaves::Nothing))),
        seen::<6>,
    ),
    (
        "a stored 500 that left a Customer",
        |it| matches!(it, Act::Fault(_, Fault::Stored500(Leaves::Shown))),
        seen::<7>,
    ),
    (
        "a stored 500 that leaves one later",
        |it| matches!(it, Act::Fault(_, Fault::Stored500(Leaves::Late))),
        seen::<8>,
    ),
    ("a key is refused", |it| matches!(it, Act::Fault(_, Fault::Denied)), seen::<9>),
    ("an inquiry fails", |it| matches!(it, Act::Fault(_, Fault::InquiryFails)), seen::<10>),
    ("a retrieve fails", |it| matches!(it, Act::Fault(_, Fault::RetrieveFails)), seen::<11>),
    ("a Customer is deleted", |it| matches!(it, Act::Deleted(_)), seen::<12>),
    ("the column is nulled", |it| matches!(it, Act::Nulled), seen::<13>),
    ("a row is lost", |it| matches!(it, Act::RowLost), seen::<14>),
    ("a backup is restored", |it| matches!(it, Act::Restored), seen::<15>),
    ("a created-webhook comes", |it| matches!(it, Act::Hook(..)), seen::<16>),
    ("time passes", |it| matches!(it, Act::Passes(_)), seen::<17>),
    ("a request outlives its sender", |it| matches!(it, Act::Orphan(_)), seen::<18>),
    ("a key is in use", |it| matches!(it, Act::InUse(_)), seen::<19>),
    ("a key is forgotten", |it| matches!(it, Act::Forgets(_)), seen::<20>),
    ("a deletion is told", |it| matches!(it, Act::DeletionTold(_)), seen::<21>),
    ("a failure shows what it left", |it| matches!(it, Act::Surfaces), seen::<22>),
    (
        "an inquiry reads events that are behind",
        |it| matches!(it, Act::Read { behind: true, .. }),
        seen::<23>,
    ),
];
