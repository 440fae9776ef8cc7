//! `installation`: which database this is, and whose Customers are not its own.

use serde::Serialize;
use tenant_billing::{
    Afresh,
    ids::{AccountId, InstallationId},
    ports::Registration,
};

use crate::{
    cli::{Copied, Installation},
    confirm::{self, confirm},
    exit::Exit,
    failure::Failure,
    output,
    session::Session,
};

/// Prints the installation, or records what an operator says of it.
pub(crate) async fn run(session: &Session, command: &Installation) -> Result<Exit, Failure> {
    match command {
        Installation::Show(it) => show(session, it.json).await?,
        Installation::Moved => {
            session.store.installation_moved().await?;
            let id = session.store.registration().await?.installation;
            output::print(&format!("installation {id} is in this database now"))?;
        }
        Installation::Copied(it) => copied(session, it).await?,
        Installation::Ignore { installation } => {
            let other = InstallationId::parse(installation)?;
            let added = session.store.ignore_installation(&other).await?;
            let known = if added { "" } else { ", as it was before" };
            output::print(&format!(
                "installation {other} is another application{known}; its Customers are passed over"
            ))?;
        }
    }
    Ok(Exit::Done)
}

async fn copied(session: &Session, arguments: &Copied) -> Result<(), Failure> {
    let Registration { installation: original, .. } = session.store.registration().await?;
    let bound = confirm::bindings(session.store.count_bound().await?);
    let (how, what) = match arguments.bindings.forget_bindings {
        true => (Afresh::CopyForgettingBindings, format!("its {bound} will be forgotten")),
        false => (Afresh::CopyKeepingBindings, format!("it keeps its {bound}")),
    };
    let what = format!(
        "This database becomes an installation of its own beside {original}, its original: {what}, and \
         what was begun and is not complete is given up here. Nothing changes in Stripe."
    );
    confirm(&what, "copied", &arguments.confirmed)?;
    let now = session.store.start_afresh(how).await?;
    output::print(&format!(
        "this is installation {} now, and {original} is another application",
        now.installation
    ))
}

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    installation: &'a InstallationId,
    copied_or_moved: bool,
    stripe_account: Option<&'a AccountId>,
    mode: Option<&'static str>,
    bound: u64,
    ignored: &'a [InstallationId],
}

async fn show(session: &Session, as_json: bool) -> Result<(), Failure> {
    let Registration { installation, account, copied, .. } = session.store.registration().await?;
    let ignored = session.store.ignored_installations().await?;
    let bound = session.store.count_bound().await?;
    if as_json {
        return output::print_json(&Printed {
            installation: &installation,
            copied_or_moved: copied,
            stripe_account: account.as_ref().map(|account| &account.id),
            mode: account.as_ref().map(|account| account.mode.as_str()),
            bound,
            ignored: &ignored,
        });
    }
    let mut lines = vec![
        format!("installation  {installation}"),
        format!("account       {}", account.map_or("none yet".into(), |it| it.to_string())),
        format!("bound         {}", confirm::bindings(bound)),
    ];
    if copied {
        lines.push(
            "copied        this database was copied or moved; say which of the two it is".into(),
        );
    }
    lines.extend(ignored.iter().map(|it| format!("ignored       {it}")));
    output::print(&lines.join("\n"))
}
