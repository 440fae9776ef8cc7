//! `docs/states.md` is printed from the scenarios, so it cannot say anything else than the
//! functions do.
//!
//! `UPDATE_DOCS=1 cargo test -p tenant-billing-core --test it states_doc` writes the file anew.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    scenarios::{Scenario, groups},
    scene::COLUMNS,
};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/states.md");

const INTRODUCTION: &str = "\
# The states of a tenant

This file is printed by a test from the table that the tests check, by running the shipped functions `next`, `after`, `deletion` and `unbinding`. Do not edit it. `UPDATE_DOCS=1 cargo test -p tenant-billing-core --test it states_doc` prints it anew, and the test fails while the file is out of date.

Each tenant has at most one row in the table `customer_provisioning`. The row says how the tenant gets its Stripe Customer. The host's column `tenant_config.stripe_customer_id` alone says which Customer is *bound*. A row counts *generations*: each generation has one frozen request and one idempotency key. An *inquiry* searches Stripe for what the key may have created. It is *conclusive* if it began late enough that finding nothing proves that there is no Customer. A live Customer that must not exist is *surplus*: it is put on record for a person to delete, and a later bind of it resolves the record.

";

/// Each state, with what it is, who moves it on, and what a crash leaves.
const STATES: [(&str, &str); 6] = [
    (
        "no row",
        "The tenant has never asked for a Customer, or its row was lost. The next caller writes a row before anything is sent to Stripe. A crash leaves nothing behind, because nothing is under way.",
    ),
    (
        "vacant",
        "There is no Customer, nothing is under way, and this generation has sent nothing. The next caller moves the row to pending. A crash leaves the row vacant.",
    ),
    (
        "pending",
        "The request is frozen and may be sent any number of times under its idempotency key until the row is 20 h old. Callers and the recovery worker send it until Stripe answers, and from an age of 23 h on they move the row to in doubt. A crash leaves the row pending, and whoever comes next sends the same request, which Stripe executes only once.",
    ),
    (
        "in doubt",
        "Nothing is sent, because the key can no longer be relied on and may have created a Customer. Callers and the recovery worker make inquiries until one finds a Customer or proves that there is none. A crash leaves the row in doubt, and the next inquiry starts from the beginning.",
    ),
    (
        "rejected",
        "Stripe has refused this request for good, for example because of its e-mail address. The same request gets the same error, and a caller with other details opens the next generation. A crash leaves the row rejected.",
    ),
    (
        "provisioned",
        "The row has led to a Customer, whose id it keeps. It stays so until that Customer is deleted in Stripe or an operator unbinds it, and a caller who finds the column null retrieves the Customer and binds it again. A crash leaves the row provisioned.",
    ),
];

const CONVENTIONS: &str = "\
## Every state against everything that can happen

In these tables the tenant exists. Its row, if it has one, is of generation 3, was opened two hours ago, and is due. A provisioned row is provisioned with `cus_cid`, and the column holds that. In the other states the column is null. An inquiry is conclusive already if the row is in doubt. \"Created\" names a Customer that this generation's request created, and \"Found\" those that an inquiry of this generation found; they are alive. Each line names what differs from this. A cell names the generation only where the row gets another one.

\"then at once\" marks a second decision: the loop reads the row again and decides again, without waiting. \"error\" is what the caller gets, and \"operator\" is an error that lasts until a person acts.

";

#[test]
fn the_document_of_the_states_is_up_to_date() {
    let document = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, &document).expect("docs/states.md can be written");
    }
    let on_disk = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        on_disk == document,
        "docs/states.md is out of date; run: UPDATE_DOCS=1 cargo test -p tenant-billing-core \
         --test it states_doc"
    );
}

/// A name that is used twice would make two lines of the document look alike.
#[test]
fn every_scenario_has_its_own_name() {
    let mut names: Vec<_> = groups()
        .into_iter()
        .flat_map(|(title, scenarios)| {
            scenarios.into_iter().map(move |scenario| (title, scenario.name))
        })
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

fn document() -> String {
    let mut document = String::from(INTRODUCTION);
    document.push_str("## The states\n\n");
    for (name, sentences) in STATES {
        let _ = writeln!(document, "- **{name}**: {sentences}");
    }
    let _ = write!(document, "\n{CONVENTIONS}");
    for (title, scenarios) in groups() {
        let (all, one): (Vec<_>, Vec<_>) =
            scenarios.iter().partition(|scenario| scenario.cells.len() == COLUMNS.len());
        let _ = write!(document, "### {title}\n\n{}", table(&all));
        if !one.is_empty() {
            let _ = write!(document, "\nIn one state only:\n\n{}", table_of_one_state(&one));
        }
        document.push('\n');
    }
    let edges = edges();
    let _ = write!(document, "## Every edge\n\n{}\n{}", list(&edges), diagram(&edges));
    document
}

fn table(scenarios: &[&Scenario]) -> String {
    let names = STATES.map(|(name, _)| name);
    let mut table = format!("| what happens | {} |\n{}|\n", names.join(" | "), "|---".repeat(7));
    for scenario in scenarios {
        let cells = COLUMNS.map(|at| scenario.follows(at).in_words());
        let _ = writeln!(table, "| {} | {} |", scenario.name, cells.join(" | "));
    }
    table
}

fn table_of_one_state(scenarios: &[&Scenario]) -> String {
    let mut table = String::from("| what happens | state | what follows |\n|---|---|---|\n");
    for scenario in scenarios {
        for (at, _) in &scenario.cells {
            let place = COLUMNS.iter().position(|column| column == at).expect("a column");
            let (state, follows) = (STATES[place].0, scenario.follows(*at).in_words());
            let _ = writeln!(table, "| {} | {state} | {follows} |", scenario.name);
        }
    }
    table
}

/// From one state to another, by their place in [`STATES`]: the causes, and who brings each about.
type Edges = BTreeMap<(usize, usize), Vec<(&'static str, Vec<&'static str>)>>;

fn edges() -> Edges {
    let place = |name: &str| STATES.iter().position(|(state, _)| *state == name).expect("a state");
    let mut edges = Edges::new();
    for scenario in groups().into_iter().flat_map(|(_, scenarios)| scenarios) {
        for (at, _) in &scenario.cells {
            for (before, after) in scenario.follows(*at).moves() {
                let causes = edges.entry((place(before), place(after))).or_default();
                match causes.iter_mut().find(|(cause, _)| *cause == scenario.cause) {
                    Some((_, by)) if by.contains(&scenario.by) => {}
                    Some((_, by)) => by.push(scenario.by),
                    None => causes.push((scenario.cause, vec![scenario.by])),
                }
            }
        }
    }
    edges
}

fn list(edges: &Edges) -> String {
    let mut list = String::from("| from | to | cause | who |\n|---|---|---|---|\n");
    for ((from, to), causes) in edges {
        for (cause, by) in causes {
            let (from, to) = (STATES[*from].0, STATES[*to].0);
            let _ = writeln!(list, "| {from} | {to} | {cause} | {} |", by.join(", "));
        }
    }
    list
}

fn diagram(edges: &Edges) -> String {
    let id = |place: usize| STATES[place].0.replace(' ', "_");
    let mut diagram = String::from("```mermaid\nstateDiagram-v2\n");
    for (place, (name, _)) in STATES.iter().enumerate() {
        let _ = writeln!(diagram, "    state \"{name}\" as {}", id(place));
    }
    for ((from, to), causes) in edges {
        let causes: Vec<_> = causes.iter().map(|(cause, _)| *cause).collect();
        let _ = writeln!(diagram, "    {} --> {}: {}", id(*from), id(*to), causes.join("<br/>"));
    }
    diagram.push_str("```\n");
    diagram
}
