//! A tenant's history as text, for `history` and for the demo.

use tenant_billing::{
    audit::{AuditEvent, History, Surplus},
    ids::CustomerId,
};

/// How much of the table of events is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Every column.
    Whole,
    /// Without date and generation, and cut off at this width.
    Narrow(usize),
}

/// The lines of text for a history.
pub(crate) fn lines(history: &History, table: Table) -> Vec<String> {
    let mut lines = vec![format!("tenant {}", history.tenant), String::new()];
    if history.events.is_empty() {
        lines.push("nothing has happened yet".to_owned());
    } else {
        lines.extend(table.lines(history));
    }
    lines.push(String::new());
    lines.push(format!("state    {}", state(history)));
    lines.push(format!("bound    {}", name(history.bound.as_ref())));
    if !history.exists {
        lines.push("gone     the tenant is no longer registered".to_owned());
    }
    if let Some(provisioned) = history.overridden() {
        let holds = history.bound.as_ref().map_or("none", CustomerId::as_str);
        lines.push(format!(
            "differs  tenant-billing provisioned {provisioned}, but the database holds {holds}"
        ));
    }
    lines.extend(history.surplus.iter().map(surplus));
    lines
}

impl Table {
    fn lines(self, history: &History) -> Vec<String> {
        let cells = |AuditEvent { at, event }: &AuditEvent| {
            [
                at.strftime("%Y-%m-%d").to_string(),
                at.strftime("%H:%M:%S").to_string(),
                event.kind.to_string(),
                event.generation.to_string(),
                name(event.customer.as_ref()).to_owned(),
                event.request_id.clone().unwrap_or_else(|| NONE.to_owned()),
                event.detail.clone(),
            ]
        };
        let head = ["UTC", "", "event", "generation", "Customer", "Stripe request", "detail"];
        let rows = [head.map(str::to_owned)].into_iter().chain(history.events.iter().map(cells));
        match self {
            Self::Whole => aligned(&rows.map(Vec::from).collect::<Vec<_>>()),
            Self::Narrow(width) => {
                let rows = rows.map(|[date, time, event, _, customer, request, detail]| {
                    // In the head, "UTC" stands over the date.
                    let time = if time.is_empty() { date } else { time };
                    vec![time, event, customer, request, detail]
                });
                let lines = aligned(&rows.collect::<Vec<_>>());
                lines.into_iter().map(|line| cut(line, width)).collect()
            }
        }
    }
}

/// The text of an empty cell.
const NONE: &str = "-";

fn name(customer: Option<&CustomerId>) -> &str {
    customer.map_or(NONE, |customer| customer.as_str())
}

fn state(history: &History) -> &'static str {
    history.state.as_ref().map_or(NONE, |(state, _)| state)
}

fn surplus(surplus: &Surplus) -> String {
    let todo = match surplus.resolved_at {
        None => "delete it in Stripe after checking".to_owned(),
        Some(at) => format!("resolved {}", at.strftime("%Y-%m-%d %H:%M:%S")),
    };
    format!("surplus  {} ({}; {todo})", surplus.customer, surplus.reason)
}

/// The rows as lines, with columns as wide as their widest cell.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            format!("{cell:width$}", width = width(column).unwrap_or_default())
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn cut(line: String, width: usize) -> String {
    match line.char_indices().nth(width) {
        None => line,
        Some(_) => line.chars().take(width - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use tenant_billing::{audit::SurplusReason, ids::TenantId};

    use super::*;

    #[test]
    fn a_line_is_cut_to_the_width() {
        for (width, expected) in [(3, "aä…"), (4, "aäbc"), (5, "aäbc")] {
            assert_eq!(cut("aäbc".to_owned(), width), expected);
        }
    }

    #[test]
    fn a_tenant_that_is_gone_and_its_surplus_customers() {
        let id = |text| CustomerId::parse(text).unwrap();
        let (found_at, later) = ("2026-01-02T03:04:05Z", "2026-01-02T04:04:05Z");
        let surplus = |customer, reason, resolved: Option<&str>| Surplus {
            customer: id(customer),
            reason,
            found_at: found_at.parse().unwrap(),
            resolved_at: resolved.map(|at| at.parse().unwrap()),
        };
        let history = History {
            tenant: TenantId::parse("t").unwrap(),
            exists: false,
            bound: None,
            state: Some(("provisioned", Some(id("cus_1")))),
            events: Vec::new(),
            surplus: vec![
                surplus("cus_2", SurplusReason::Duplicate, None),
                surplus("cus_3", SurplusReason::Late, Some(later)),
            ],
        };
        let text = "\
tenant t

nothing has happened yet

state    provisioned
bound    -
gone     the tenant is no longer registered
differs  tenant-billing provisioned cus_1, but the database holds none
surplus  cus_2 (duplicate; delete it in Stripe after checking)
surplus  cus_3 (late; resolved 2026-01-02 04:04:05)";
        assert_eq!(lines(&history, Table::Whole).join("\n"), text);
    }
}
