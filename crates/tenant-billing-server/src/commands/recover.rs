//! `recover`: completes interrupted work.
//!
//! An error about one tenant is printed, and the tenant is tried again the next time. An error that
//! concerns all tenants (a key that Stripe does not accept, the wrong account) ends the command,
//! because waiting does not help.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tenant_billing::{
    Billing, Error, OperatorError, Problem, Recovery,
    ports::{Backlog, StoreError},
};

use crate::{
    cli::{Options, Recover},
    exit::Exit,
    failure::Failure,
    output,
    session::{LINGER, Session},
    signals::told_to_stop,
};

/// The longest pause between two runs, because another process may complete the work meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The shortest pause between two runs.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// Processes what is due, once or until nothing remains, and prints the result.
pub(crate) async fn run(options: &Options, arguments: &Recover) -> Result<Exit, Failure> {
    let session = Session::open(options).await?;
    let target = session.target(options)?;
    let running = session.connect(target, options).await?;
    let progress = progress();
    let mut provisioned = 0;
    let work = work(&session, &running.billing, arguments.wait, &progress, &mut provisioned);
    let ended = tokio::select! {
        ended = work => ended,
        () = told_to_stop() => {
            output::say("stopping; what is unfinished is recorded, and the next `recover` completes it");
            Ok(())
        }
    };
    progress.finish_and_clear();
    running.close(LINGER).await;
    ended?;
    let backlog = tokio::select! {
        backlog = session.store.backlog() => backlog?,
        // A second signal, while the database does not say what remains.
        () = told_to_stop() => return Ok(Exit::Retry),
    };
    output::print(&summary(provisioned, &backlog))?;
    Ok(if backlog.rows == 0 { Exit::Done } else { Exit::Retry })
}

async fn work(
    session: &Session,
    billing: &Billing,
    wait: bool,
    progress: &ProgressBar,
    provisioned: &mut usize,
) -> Result<(), Failure> {
    loop {
        let backlog = match billing.recover_once().await {
            Ok(recovery) => {
                *provisioned += recovery.provisioned.len();
                progress.suspend(|| report(&recovery))?;
                recovery.backlog
            }
            Err(error) if wait && matches!(error.problem(), Problem::Retry { .. }) => {
                progress.set_message(error.to_string());
                session.clock.sleep(LONGEST_PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if backlog.rows == 0 || !wait {
            return Ok(());
        }
        progress.set_message(summary(*provisioned, &backlog));
        session.clock.sleep(until_due(&backlog).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

fn report(recovery: &Recovery) -> Result<(), Failure> {
    for it in &recovery.provisioned {
        output::print(&format!("{}  {}  {}", it.tenant, it.customer, it.outcome.as_str()))?;
    }
    for (tenant, error) in &recovery.postponed {
        if concerns_all(error) {
            return Err(error.clone().into());
        }
        output::print(&format!("{tenant}  postponed: {error}"))?;
    }
    Ok(())
}

/// Whether no tenant can be recovered until this is put right.
fn concerns_all(error: &Error) -> bool {
    match error.problem() {
        Problem::Operator(error) => match error {
            OperatorError::BadKey(_)
            | OperatorError::AccountUnreadable(_)
            | OperatorError::NotDeclared(_)
            | OperatorError::WrongAccount { .. }
            | OperatorError::Store(
                StoreError::Unavailable(_)
                | StoreError::SchemaMissing
                | StoreError::SchemaTooOld
                | StoreError::SchemaTooNew
                | StoreError::SchemaMismatch(_)
                | StoreError::Invalid(_),
            ) => true,
            // The application's table may refuse one tenant and accept another, and one row may be
            // unreadable.
            OperatorError::Store(StoreError::Refused(_) | StoreError::Corrupt(_))
            | OperatorError::UnexpectedAnswer(_)
            | OperatorError::NotPermitted(_)
            | OperatorError::BoundElsewhere(_)
            | OperatorError::ForeignCustomer(_)
            | OperatorError::OutOfReach
            | OperatorError::NoEmailToLookBy
            | OperatorError::UnknownCustomer(_) => false,
        },
        Problem::Invalid(_)
        | Problem::UnknownTenant(_)
        | Problem::Rejected(_)
        | Problem::Retry { .. } => false,
    }
}

fn summary(provisioned: usize, backlog: &Backlog) -> String {
    let remains = match backlog.rows {
        0 => return format!("provisioned {provisioned}; nothing remains"),
        1 => "1 remains".to_owned(),
        rows => format!("{rows} remain"),
    };
    match backlog.next_due {
        Some(due) if due > backlog.now => {
            let seconds = until_due(backlog).as_secs_f64().ceil();
            let at = due.strftime("%Y-%m-%dT%H:%M:%SZ");
            format!("provisioned {provisioned}; {remains}, the next is due in {seconds} s, at {at}")
        }
        _ => format!("provisioned {provisioned}; {remains}, due now"),
    }
}

fn until_due(backlog: &Backlog) -> Duration {
    let due = backlog.next_due.unwrap_or(backlog.now);
    Duration::try_from(due.duration_since(backlog.now)).unwrap_or_default()
}

/// A spinner on a terminal; elsewhere, nothing is shown.
fn progress() -> ProgressBar {
    let progress = ProgressBar::new_spinner();
    if !progress.is_hidden() {
        progress.set_style(ProgressStyle::default_spinner());
        progress.enable_steady_tick(Duration::from_millis(100));
    }
    progress
}
