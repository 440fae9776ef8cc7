//! The demo in words and figures, no wider than 100 columns.

use tenant_billing::audit::History;

use super::{plan::Plan, tally::Tally};
use crate::commands::{Table, history_lines};

const WIDTH: usize = 100;

/// What the demo is about.
pub(super) fn intro(plan: &Plan) -> String {
    let (tenants, callers) = (plan.tenants.len(), plan.callers);
    let plural = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let have = plural(tenants, "tenant has none", "tenants have none");
    let ask = plural(callers, "user of each asks", "users of each ask");
    let customers = plural(tenants, "Customer", "Customers");
    format!(
        "\
Each tenant of a SaaS needs exactly one Stripe Customer. Here {have} yet, and
{ask} for it at the same moment. It is a bad day: one request to Stripe in four
goes wrong (answers lost, connections reset, 500s, 429s), some users hang up, and the program is
killed and started anew halfway. A day passes, all ask again; then all is well, and all ask once
more. Three programs go through it. In the end there should be {customers}, one for each tenant.
"
    )
}

/// One row: its name, what it means, and how to read it off a tally.
type Row = (&'static str, &'static str, fn(&Tally) -> u64);

const ROWS: [Row; 8] = [
    ("calls", "by users, tried again or not", |it| it.calls),
    ("Stripe requests", "of any kind", |it| it.requests),
    ("Customers made", "in Stripe", |it| it.customers),
    ("duplicates", "tenants that have several", |it| it.duplicates),
    ("orphans", "Customers no database row names", |it| it.orphans),
    ("left without", "tenants with none in the end", |it| it.without),
    ("errors", "shown to users who waited", |it| it.errors),
    ("calls per second", "at the end, when all is well", |it| it.calls_per_second),
];

const HEAD: [(&str, &str); 3] =
    [("as everyone", "writes it"), ("as the careful", "write it"), ("ours", "")];

/// The three columns.
pub(super) fn table(tallies: &[Tally]) -> String {
    let head = |line: fn(&(&'static str, &'static str)) -> &'static str| {
        HEAD.iter().map(|it| format!("{:>16}", line(it))).collect::<String>()
    };
    let mut lines = vec![
        format!("{:50}{}", "", head(|it| it.0)),
        format!("{:50}{}", "", head(|it| it.1)).trim_end().to_owned(),
    ];
    for (name, meaning, value) in ROWS {
        let cells = tallies.iter().map(|tally| format!("{:>16}", grouped(value(tally))));
        lines.push(format!("{name:17} {meaning:32}{}", cells.collect::<String>()));
    }
    lines.push(String::new());
    lines.push(
        "as everyone writes it:    read the id; if there is none, create a Customer; save its id"
            .into(),
    );
    lines.push(
        "as the careful write it:  the same with idempotencyKey: tenantId and a unique column"
            .into(),
    );
    lines.join("\n")
}

/// One tenant's way through it.
pub(super) fn story(history: &History) -> String {
    let mut lines = vec![
        "Each step is on record. Here the first answer got lost after Stripe had made the Customer:"
            .to_owned(),
        String::new(),
    ];
    lines.extend(history_lines(history, Table::Narrow(WIDTH)));
    lines.join("\n")
}

/// What to do next.
pub(super) const FURTHER: &str = "\
Try it by hand with `tenant-billing tenant add <UUID>`, then, with no key and no account,
`tenant-billing --sandbox get-or-create <UUID> <EMAIL>`. README.md shows the five lines of Rust that
embed it.";

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
            calls_per_second: 1_000_000,
        };
        let plan = Plan::new(1, 1000, 100);
        let text = [intro(&plan), table(&[tally.clone(), tally.clone(), tally]), FURTHER.into()];
        for line in text.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
