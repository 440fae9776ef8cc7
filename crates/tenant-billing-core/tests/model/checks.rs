//! What is explored, and how far: each configuration is explored to its last state, and the number
//! of states is known.

use std::sync::atomic::{AtomicU32, Ordering};

use stateright::{Checker, Model};

use crate::{
    liveness::WITHIN,
    system::{ANY, Fault, System, Tally, Twist},
    world::{HOUR, Minutes},
};

/// Two processes, every fault that leaves the database what it committed, and an accepted e-mail
/// address.
pub(crate) fn plain() -> System {
    System {
        procs: 2,
        faults: 0,
        kinds: ANY,
        jumps: 0,
        clock: &[],
        bare: false,
        other_refused: false,
        foreign: false,
        webhooks: false,
        inquire_first: false,
        careful: false,
        twist: Twist::None,
        symmetric: true,
        tally: Tally::default(),
        longest: AtomicU32::new(0),
    }
}

/// A key is sent for 20 hours, and executed within three more; then Stripe forgets it, and an
/// inquiry may be conclusive.
const A_DAY: &[Minutes] = &[20 * HOUR - 1, 3 * HOUR, 2 * HOUR + 1];

/// Explores all of it. Panics unless every property holds and there are exactly `states` states.
pub(crate) fn holds(name: &str, system: System, states: usize) {
    let checker = system.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    let (found, longest) =
        (checker.unique_state_count(), checker.model().longest.load(Ordering::Relaxed));
    println!("{name}: {found} states, {} steps, {longest} to rest", checker.state_count());
    assert!((1..=WITHIN).contains(&longest));
    assert_eq!(found, states, "{name}: the number of states has changed");
}

#[test]
fn within_minutes_any_two_faults() {
    let system = System { faults: 2, jumps: 2, clock: &[11, 70], ..plain() };
    holds("minutes", system, 692_326);
}

#[test]
fn any_two_faults_with_one_wait_of_minutes_to_a_day() {
    let clock = &[11, 70, 3 * HOUR, 5 * HOUR, 20 * HOUR - 1, 24 * HOUR];
    holds("one wait", System { faults: 2, jumps: 1, clock, ..plain() }, 340_713);
}

#[test]
fn over_a_day_any_fault() {
    let system = System { faults: 1, jumps: 3, clock: A_DAY, ..plain() };
    holds("a day", system, 390_867);
}

#[test]
fn a_refused_address_beside_a_good_one_and_any_two_faults() {
    let system = System { faults: 2, jumps: 1, clock: &[11, 70], other_refused: true, ..plain() };
    holds("refused", system, 165_492);
}

#[test]
fn a_caller_without_an_email_and_any_two_faults() {
    let system = System { faults: 2, jumps: 2, clock: &[11, 70], bare: true, ..plain() };
    holds("bare", system, 581_301);
}

#[test]
fn a_foreign_customer_and_webhooks_at_any_time_and_any_two_faults() {
    let system =
        System { faults: 2, jumps: 1, clock: &[11, 70], foreign: true, webhooks: true, ..plain() };
    holds("foreign", system, 230_812);
}

#[test]
fn inquire_first_and_any_fault() {
    let clock = &[11, 70, 3 * HOUR, 5 * HOUR, 20 * HOUR - 1, 24 * HOUR];
    holds(
        "inquire first",
        System { faults: 1, jumps: 1, clock, inquire_first: true, ..plain() },
        43_886,
    );
}

/// The address that comes later is one to look by.
#[test]
fn inquire_first_without_an_email_and_any_fault() {
    let clock = &[11, 70, 3 * HOUR, 5 * HOUR, 20 * HOUR - 1, 24 * HOUR];
    let system = System { faults: 1, jumps: 1, clock, inquire_first: true, bare: true, ..plain() };
    holds("inquire first, bare", system, 53_429);
}

/// Without the faults that concern a single process only.
#[test]
fn three_processes_that_crash_and_lose_answers() {
    let kinds = &[Fault::Crash, Fault::Orphan, Fault::AnswerLost, Fault::Deleted];
    let clock = &[11, 24 * HOUR];
    holds("three", System { procs: 3, faults: 2, kinds, jumps: 1, clock, ..plain() }, 216_630);
}
