//! The text of the demo, no wider than 100 columns.

use tenant_billing::audit::History;

use super::{plan::Plan, tally::Tally, world::Program};
use crate::history_text::{self, Table};

const WIDTH: usize = 100;

/// The problem, and what the demo does.
pub(super) fn intro(plan: &Plan) -> String {
    let users = count(plan.callers, "user");
    let asks = if plan.callers == 1 { "asks" } else { "ask" };
    let tenants = count(plan.tenants.len(), "tenant");
    format!(
        "\
The problem: a SaaS creates a Stripe Customer for each tenant and saves its id. If two requests do
that at the same moment, the tenant gets two Customers and could be billed twice. If the program
dies, or Stripe's answer is lost, before the id is saved, no database row names the Customer.

The demo runs three programs through the same bad day, each with its own simulated Stripe:

  {:21}read the id; if there is none, create a Customer and save its id
  {:21}do the same with idempotencyKey: tenantId and a unique column
  {:21}use this software, with its recovery worker

At the same moment, {users} of each of {tenants} {asks} for the tenant's Customer. One request
to Stripe in four goes wrong (lost answers, reset connections, 500s, 429s), some users give up, and
the program is killed halfway and restarted. A day later, all users ask again. Two hours after that,
nothing goes wrong any more, and all users ask once more.
",
        Program::Naive.name(),
        Program::KeyAndColumn.name(),
        Program::Ours.name(),
    )
}

/// A row of the table: its label, and its figure for a program.
type Row = (String, fn(&Tally) -> u64);

/// The table: a row for each figure, and a column for each program in the order of
/// [`Program::ALL`].
pub(super) fn table(plan: &Plan, tallies: &[Tally]) -> String {
    let expected = grouped(plan.tenants.len() as u64);
    let rows: [Row; 7] = [
        (format!("Customers in Stripe (should be {expected})"), |it| it.customers),
        ("tenants with several Customers (should be 0)".to_owned(), |it| it.duplicates),
        ("Customers not in the database (should be 0)".to_owned(), |it| it.orphans),
        ("tenants without a Customer (should be 0)".to_owned(), |it| it.without),
        ("errors shown to users".to_owned(), |it| it.errors),
        ("calls by users, including retries".to_owned(), |it| it.calls),
        ("requests to Stripe".to_owned(), |it| it.requests),
    ];
    let head = Program::ALL.map(|program| cell(program, program.name())).concat();
    let lines = rows.map(|(label, value)| {
        let cells = Program::ALL.iter().zip(tallies);
        let cells = cells.map(|(program, tally)| cell(*program, &grouped(value(tally))));
        format!("{label:46}{}", cells.collect::<String>())
    });
    format!("{:46}{head}\n{}", "", lines.join("\n"))
}

/// A cell as wide as its column, with a gap before it.
fn cell(program: Program, text: &str) -> String {
    format!("  {text:>width$}", width = program.name().len())
}

/// What to conclude from the table.
pub(super) fn conclusion(plan: &Plan, tallies: &[Tally]) -> String {
    let total = count(plan.tenants.len(), "tenant");
    let lines = Program::ALL.iter().zip(tallies).map(|(program, tally)| {
        let duplicates = match tally.duplicates {
            0 => "no tenant".to_owned(),
            some => format!("{} of {total}", grouped(some)),
        };
        format!("  {:21}{duplicates} could be billed twice", program.name())
    });
    let lines = lines.collect::<Vec<_>>().join("\n");
    format!(
        "\
The result:

{lines}

A key and a unique column are not enough: Stripe forgets the key after a day, so a retry on the next
day creates a second Customer. tenant-billing saves each request before it sends it, and when the
key gets too old, it first asks Stripe what that request has created."
    )
}

/// The history of one tenant whose first answer was lost.
pub(super) fn story(history: &History) -> String {
    let mut lines = vec![
        "tenant-billing records every step. For this tenant, Stripe created the Customer and the answer"
            .to_owned(),
        "was lost (this is what `tenant-billing history` prints):".to_owned(),
        String::new(),
    ];
    lines.extend(history_text::lines(history, Table::Narrow(WIDTH)));
    lines.join("\n")
}

/// What to try next.
pub(super) const NEXT: &str = "\
Try it yourself. With --sandbox, you need no Stripe account:

  tenant-billing tenant add 7c9e6679-7425-40de-944b-e07fc1f90ae7
  tenant-billing --sandbox get-or-create 7c9e6679-7425-40de-944b-e07fc1f90ae7 owner@example.com
  tenant-billing history 7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// `1 user`, `1,000 users`.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number as u64))
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn it_fits_a_terminal_of_100_columns() {
        let tally = Tally {
            calls: 1_000_000,
            requests: 1_000_000,
            customers: 1_000_000,
            duplicates: 1000,
            orphans: 1_000_000,
            without: 1000,
            errors: 1_000_000,
        };
        let plan = Plan::new(1, 1000, 100);
        let tallies = [tally.clone(), tally.clone(), tally];
        let (table, conclusion) = (table(&plan, &tallies), conclusion(&plan, &tallies));
        let text = [intro(&plan), table, conclusion, NEXT.into()];
        for line in text.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
