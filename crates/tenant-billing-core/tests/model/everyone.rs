//! The way everyone writes it: read the column, create a Customer, save its id.

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::properties::ONE;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Start,
    ReadNull,
    Created(u8),
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Naive {
    column: Option<u8>,
    customers: u8,
    procs: [At; 2],
}

struct ReadCreateSave;

impl Model for ReadCreateSave {
    type State = Naive;
    type Action = usize;

    fn init_states(&self) -> Vec<Naive> {
        vec![Naive { column: None, customers: 0, procs: [At::Start; 2] }]
    }

    fn actions(&self, _: &Naive, acts: &mut Vec<usize>) {
        acts.extend([0, 1]);
    }

    fn next_state(&self, state: &Naive, p: usize) -> Option<Naive> {
        let mut now = state.clone();
        now.procs[p] = match now.procs[p] {
            At::Start if now.column.is_some() => At::Done,
            At::Start => At::ReadNull,
            At::ReadNull => {
                now.customers += 1;
                At::Created(now.customers - 1)
            }
            At::Created(id) => {
                now.column = Some(id);
                At::Done
            }
            At::Done => return None,
        };
        Some(now)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(ONE, |_, state: &Naive| state.customers <= 1)]
    }
}

/// No fault is needed, only two calls at once.
#[test]
fn read_create_save_makes_two() {
    let checker = ReadCreateSave.checker();
    let checker = checker.finish_when(HasDiscoveries::All).threads(1).spawn_bfs().join();
    let path = checker.discovery(ONE).expect("a counterexample").into_vec();
    let story: Vec<String> = path
        .windows(2)
        .filter_map(|pair| {
            let p = pair[0].1?;
            let who = p + 1;
            Some(match pair[1].0.procs[p] {
                At::ReadNull => format!("process {who} reads the column: it is null"),
                At::Created(id) => format!("process {who} creates a Customer: cus_{id}"),
                At::Done => format!("process {who} saves it"),
                At::Start => unreachable!("no process starts twice"),
            })
        })
        .collect();
    println!("The way everyone writes it:\n  {}", story.join("\n  "));
    let told = [
        "process 1 creates a Customer: cus_0",
        "process 1 reads the column: it is null",
        "process 2 creates a Customer: cus_1",
        "process 2 reads the column: it is null",
    ];
    let mut steps = story;
    steps.sort_unstable();
    assert_eq!(steps, told);
}
