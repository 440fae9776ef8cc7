//! The same search over a protocol that lacks one thing. Each must end in a story of how it breaks.
//! If a search found none, the model could not show what that thing is for.

use std::collections::{HashMap, VecDeque};

use stateright::Model;

use crate::{
    checks::plain,
    properties::{ONE, SAFE, SOUND},
    story,
    stripe::Leaves,
    system::{Act, Fault, System, Twist},
    world::{HOUR, World},
};

/// The shortest way to a state in which `property` does not hold, in words. (The checker's own
/// discovery is a way, and seldom the shortest.)
pub(crate) fn breaks(title: &str, property: &'static str, system: System) -> Vec<String> {
    let system = System { symmetric: false, ..system };
    let holds = system.property(property).condition;
    let start = system.start();
    let mut from: HashMap<World, Option<(Act, World)>> = HashMap::from([(start.clone(), None)]);
    let mut todo = VecDeque::from([start]);
    while let Some(world) = todo.pop_front() {
        if !holds(&system, &world) {
            let story = story::tell(&way(&from, world));
            println!("{title} ({} states seen):\n  {}", from.len(), story.join("\n  "));
            return story;
        }
        for (act, next) in system.next_steps(&world) {
            from.entry(next).or_insert_with_key(|next| {
                todo.push_back(next.clone());
                Some((act, world.clone()))
            });
        }
    }
    panic!("{title}: {} states and no counterexample", from.len());
}

fn way(from: &HashMap<World, Option<(Act, World)>>, end: World) -> Vec<(World, Option<Act>)> {
    let mut way = vec![(end, None)];
    while let Some(Some((act, before))) = way.last().map(|(world, _)| &from[world]) {
        way.push((before.clone(), Some(*act)));
    }
    way.reverse();
    way
}

#[test]
fn without_the_pause_before_23_hours_a_key_is_sent_that_stripe_forgets() {
    let kinds = &[Fault::RequestLost, Fault::Orphan];
    let system = System {
        faults: 1,
        kinds,
        jumps: 2,
        clock: &[22 * HOUR + 30, 3 * HOUR],
        twist: Twist::NoGap,
        ..plain()
    };
    let story = breaks("Without the pause before 23 hours", ONE, system);
    assert_eq!(story.len(), 8);
}

#[test]
fn without_the_frozen_request_an_inquiry_lists_the_wrong_address() {
    let kinds = &[Fault::Stored500(Leaves::Shown)];
    let system =
        System { faults: 1, kinds, jumps: 1, clock: &[11], twist: Twist::NotFrozen, ..plain() };
    let story = breaks("Without the frozen request", ONE, system);
    assert_eq!(story.len(), 16);
}

#[test]
fn without_the_compare_and_swap_a_stale_decision_undoes_a_newer_one() {
    let system = System { other_refused: true, twist: Twist::NoSwap, ..plain() };
    let story = breaks("Without the compare-and-swap", ONE, system);
    assert_eq!(story.len(), 11);
}

#[test]
fn without_a_retrieve_a_replayed_answer_binds_a_dead_customer() {
    let kinds = &[Fault::AnswerLost, Fault::Deleted];
    let system = System { faults: 2, kinds, twist: Twist::TrustReplay, ..plain() };
    let story = breaks("Without the retrieve", SOUND, system);
    assert_eq!(story.len(), 8);
}

#[test]
fn without_inquiries_by_recovery_a_customer_waits_for_a_caller() {
    let kinds = &[Fault::Stored500(Leaves::Shown)];
    let system = System { faults: 1, kinds, twist: Twist::NoInquiriesByRecovery, ..plain() };
    let story = breaks("Without inquiries by recovery", SAFE, system);
    assert_eq!(story.len(), 3);
}
