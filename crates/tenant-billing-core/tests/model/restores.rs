//! A backup is restored that holds nothing of the tenant: no row, no trail, no Customer, no
//! deletion.
//!
//! Every process is stopped for it, and what they had sent may still be executed. Two things are
//! promised: within a key's life the key leads to what was created, and later an inquiry before the
//! first creation does. One thing is shown not to hold: later, and without such an inquiry.

use crate::{
    checks::{holds, plain},
    counterexamples::breaks,
    properties::ONE,
    stripe::Leaves,
    system::{ALL, Fault, System, Twist},
    world::HOUR,
};

#[test]
fn within_a_keys_life_a_restore_and_any_fault() {
    let but_the_lost_row = ALL.iter().copied().filter(|it| *it != Fault::RowLost);
    let kinds = but_the_lost_row.collect::<Vec<_>>().leak();
    let clock = &[70, 10 * HOUR];
    holds("restored in time", System { kinds, faults: 2, jumps: 1, clock, ..plain() }, 260_224);
}

/// A limit that this model found. An earlier generation that left no mark on its key (Stripe
/// refused it, or its row was lost before it was sent) does not lead to a later one that was under
/// way.
#[test]
fn within_a_keys_life_a_later_generation_on_its_way_is_missed_without_an_inquiry_first() {
    let kinds = &[Fault::Restored];
    let system = System { kinds, faults: 1, other_refused: true, ..plain() };
    let story = breaks("Restored at once, a second generation on its way", ONE, system);
    assert_eq!(story.len(), 12);
}

#[test]
fn after_a_keys_life_and_without_an_inquiry_first_a_restore_creates_two() {
    let kinds = &[Fault::Restored];
    let system = System { kinds, faults: 1, jumps: 1, clock: &[24 * HOUR], ..plain() };
    let story = breaks("Restored a day later, without an inquiry first", ONE, system);
    assert_eq!(story.len(), 9);
}

/// With the moment of the restore known to all.
fn careful(system: System) -> System {
    System { careful: true, faults: 2, ..system }
}

#[test]
fn after_a_keys_life_an_inquiry_first_finds_what_was_created() {
    let system = careful(System { kinds: ALL, jumps: 2, clock: &[24 * HOUR], ..plain() });
    holds("restored, inquire first", system, 800_174);
}

/// A tenant whose Customer was deleted, and one whose creation failed, before a backup was
/// restored.
fn marked_keys(twist: Twist) -> [System; 2] {
    let deleted = &[Fault::Deleted, Fault::Restored];
    let failed = &[Fault::Stored500(Leaves::Nothing), Fault::Restored];
    [
        careful(System { kinds: deleted, jumps: 1, clock: &[24 * HOUR], twist, ..plain() }),
        careful(System { kinds: failed, jumps: 2, clock: &[11, 24 * HOUR], twist, ..plain() }),
    ]
}

#[test]
fn keys_that_were_marked_before_a_restore_are_not_used_again() {
    let [deleted, failed] = marked_keys(Twist::None);
    holds("restored, inquire first, a deleted Customer's key", deleted, 58_848);
    holds("restored, inquire first, a failed key", failed, 134_878);
}

/// What it is for. A generation that is used again has a key that is older in Stripe than the row
/// says. If that holds what an inquiry cannot see (a Customer that is deleted, or a failure), and
/// is forgotten between two sends that were both permitted, the second of them creates.
#[test]
fn a_key_used_again_after_a_restore_is_forgotten_between_two_sends() {
    let [deleted, failed] = marked_keys(Twist::UsedKeys);
    let story = breaks("Restored, inquire first, a deleted Customer's key again", ONE, deleted);
    assert_eq!(story.len(), 26);
    let story = breaks("Restored, inquire first, a failed key again", ONE, failed);
    assert_eq!(story.len(), 24);
}
