//! `history`: prints a tenant's audit trail, oldest step first.

use tenant_billing::ids::TenantId;

use super::history_json;
use crate::{
    cli::OneTenant,
    exit::Exit,
    failure::Failure,
    history_text::{self, Table},
    output,
    session::Session,
};

/// Prints the history.
pub(crate) async fn run(session: &Session, arguments: &OneTenant) -> Result<Exit, Failure> {
    let history = session.store.history(&TenantId::parse(&arguments.tenant_id)?).await?.known()?;
    if arguments.json {
        output::print_json(&history_json::of(&history))?;
    } else {
        output::print(&history_text::lines(&history, Table::Whole).join("\n"))?;
        if history.events.is_empty() {
            output::say(&format!("nothing is on record of the tenant in {}", session.place));
        }
    }
    Ok(Exit::Done)
}
