//! `history`: all that is on record of a tenant, oldest first.

use tenant_billing::{
    Error,
    audit::{AuditEvent, History, Surplus},
    ids::{CustomerId, TenantId},
};

use super::history_json;
use crate::{
    cli::OneTenant,
    exit::{Exit, Failure},
    output,
    session::Session,
};

/// Prints the history.
pub(crate) async fn run(session: &Session, arguments: &OneTenant) -> Result<Exit, Failure> {
    let history = session.store.history(&TenantId::parse(&arguments.tenant_id)?).await?;
    if !history.exists && history.events.is_empty() && history.state.is_none() {
        return Err(Error::UnknownTenant(history.tenant).into());
    }
    if arguments.json {
        output::print_json(&history_json::of(&history))?;
    } else {
        output::print(&lines(&history, Table::Whole).join("\n"))?;
    }
    Ok(Exit::Done)
}

/// How much of a history's table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// All of it.
    Whole,
    /// Without date and generation, and no wider than this.
    Narrow(usize),
}

/// The history as people read it.
pub(crate) fn lines(history: &History, shape: Table) -> Vec<String> {
    let mut lines = vec![format!("tenant {}", history.tenant), String::new()];
    if history.events.is_empty() {
        lines.push("nothing has happened yet".to_owned());
    } else {
        lines.extend(shape.of(history));
    }
    lines.push(String::new());
    lines.push(format!("state    {}", state(history)));
    lines.push(format!("bound    {}", name(history.bound.as_ref())));
    if !history.exists {
        lines.push("gone     there is no such tenant any more".to_owned());
    }
    if let Some(settled) = history.overridden() {
        let holds = history.bound.as_ref().map_or("none", CustomerId::as_str);
        lines.push(format!(
            "differs  tenant-billing settled with {settled}, and tenant_config holds {holds}"
        ));
    }
    lines.extend(history.surplus.iter().map(surplus));
    lines
}

impl Table {
    fn of(self, history: &History) -> Vec<String> {
        let cells = |AuditEvent { at, event }: &AuditEvent| {
            [
                at.strftime("%Y-%m-%d").to_string(),
                at.strftime("%H:%M:%S").to_string(),
                event.kind.to_string(),
                event.generation.to_string(),
                name(event.customer.as_ref()).to_owned(),
                event.request_id.clone().unwrap_or_else(|| NONE.to_owned()),
                // The tenant stands above the table already.
                event.detail.replace(history.tenant.as_str(), "…"),
            ]
        };
        let head = ["UTC", "", "what happened", "gen", "Customer", "Stripe request", "detail"];
        let rows = [head.map(str::to_owned)].into_iter().chain(history.events.iter().map(cells));
        let rows: Vec<Vec<String>> = match self {
            Self::Whole => rows.map(Vec::from).collect(),
            Self::Narrow(_) => rows
                .map(|[day, time, what, _, customer, request, detail]| {
                    // The head stands over the date.
                    let time = if time.is_empty() { day } else { time };
                    vec![time, what, customer, request, detail]
                })
                .collect(),
        };
        let lines = aligned(&rows).into_iter();
        match self {
            Self::Whole => lines.collect(),
            Self::Narrow(width) => lines.map(|line| cut(line, width)).collect(),
        }
    }
}

/// What stands where there is nothing.
const NONE: &str = "-";

fn name(customer: Option<&CustomerId>) -> &str {
    customer.map_or(NONE, |customer| customer.as_str())
}

fn state(history: &History) -> &'static str {
    history.state.as_ref().map_or(NONE, |(state, _)| state)
}

fn surplus(surplus: &Surplus) -> String {
    let resolved = match surplus.resolved_at {
        None => "it is still there".to_owned(),
        Some(at) => format!("resolved {}", at.strftime("%Y-%m-%d %H:%M:%S")),
    };
    format!("surplus  {} ({}; {resolved})", surplus.customer, surplus.reason)
}

/// Columns as wide as their widest cell, the last one ragged.
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
