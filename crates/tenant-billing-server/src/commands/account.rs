//! `account`: which Stripe account the database belongs to.

use serde::Serialize;
use tenant_billing::{Afresh, ids::AccountId};

use crate::{
    cli::Account,
    confirm::{self, confirm},
    exit::Exit,
    failure::Failure,
    output,
    session::Session,
};

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    stripe_account: Option<&'a AccountId>,
    mode: Option<&'static str>,
}

/// Prints the account, or forgets it.
pub(crate) async fn run(session: &Session, command: &Account) -> Result<Exit, Failure> {
    let account = session.store.registration().await?.account;
    match command {
        Account::Show(it) if it.json => {
            output::print_json(&Printed {
                stripe_account: account.as_ref().map(|account| &account.id),
                mode: account.as_ref().map(|account| account.mode.as_str()),
            })?;
        }
        Account::Show(_) => {
            let none = "none yet; the first call that creates a Customer records it";
            output::print(&account.map_or(none.to_owned(), |account| account.to_string()))?;
        }
        Account::Rebind(confirmed) => {
            let bound = session.store.count_bound().await?;
            let belongs =
                account.map_or("no account yet".to_owned(), |account| format!("account {account}"));
            let what = format!(
                "This database belongs to {belongs}. Its {} will be forgotten, and the next call \
                 records the account of its key. Nothing changes in Stripe.",
                confirm::bindings(bound)
            );
            confirm(&what, "rebind", confirmed)?;
            let now = session.store.start_afresh(Afresh::OtherAccount).await?;
            output::print(&format!(
                "forgot the account and {}; this is installation {} now",
                confirm::bindings(bound),
                now.installation
            ))?;
        }
    }
    Ok(Exit::Done)
}
