//! `recover`: finishes what was begun and cut off.
//!
//! What concerns one tenant is printed and left for the next time. What concerns them all (a key
//! that Stripe refuses, the wrong account) ends the command, since no waiting mends it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tenant_billing::{Billing, Error, OperatorError, Recovery, ports::Backlog};

use crate::{
    cli::{Options, Recover},
    exit::{Exit, Failure},
    output,
    session::Session,
    signals::told_to_stop,
};

/// Another process may settle what this one waits for, so it looks at least this often.
const LONGEST_NAP: Duration = Duration::from_secs(5);
const SHORTEST_NAP: Duration = Duration::from_millis(200);

/// Goes over what is due, once or until nothing remains, and says how far it came.
pub(crate) async fn run(options: &Options, arguments: &Recover) -> Result<Exit, Failure> {
    let session = Session::open(options).await?;
    let target = session.target(options)?;
    let running = session.connect(target, options).await?;
    let progress = progress();
    let mut settled = 0;
    let work = work(&session, &running.billing, arguments.wait, &progress, &mut settled);
    let ended = tokio::select! {
        ended = work => ended,
        () = told_to_stop() => {
            output::say("stopping; what was begun is on record");
            Ok(())
        }
    };
    progress.finish_and_clear();
    running.close().await;
    ended?;
    let backlog = session.store.backlog().await?;
    output::print(&summary(settled, &backlog))?;
    Ok(if backlog.rows == 0 { Exit::Done } else { Exit::Later })
}

async fn work(
    session: &Session,
    billing: &Billing,
    wait: bool,
    progress: &ProgressBar,
    settled: &mut usize,
) -> Result<(), Failure> {
    loop {
        let backlog = match billing.recover_once().await {
            Ok(recovery) => {
                *settled += recovery.settled.len();
                progress.suspend(|| report(&recovery))?;
                recovery.backlog
            }
            Err(Error::Later { .. }) if wait => session.store.backlog().await?,
            Err(error) => return Err(error.into()),
        };
        if backlog.rows == 0 || !wait {
            return Ok(());
        }
        progress.set_message(summary(*settled, &backlog));
        session.clock.sleep(until_due(&backlog).clamp(SHORTEST_NAP, LONGEST_NAP)).await;
    }
}

fn report(recovery: &Recovery) -> Result<(), Failure> {
    for it in &recovery.settled {
        output::print(&format!("{}  {}  {}", it.tenant, it.customer, it.outcome.as_str()))?;
    }
    for (tenant, error) in &recovery.postponed {
        if concerns_all(error) {
            return Err(error.clone().into());
        }
        output::print(&format!("{tenant}  not yet: {error}"))?;
    }
    Ok(())
}

/// Whether no tenant can be recovered until this is put right.
fn concerns_all(error: &Error) -> bool {
    match error {
        Error::Operator(error) => match error {
            OperatorError::BadKey(_)
            | OperatorError::AccountUnreadable(_)
            | OperatorError::WrongAccount { .. }
            | OperatorError::Store(_) => true,
            OperatorError::Stripe(_)
            | OperatorError::BoundElsewhere(_)
            | OperatorError::ForeignCustomer(_)
            | OperatorError::OutOfReach
            | OperatorError::UnknownCustomer(_) => false,
        },
        Error::Invalid(_) | Error::UnknownTenant(_) | Error::Refused(_) | Error::Later { .. } => {
            false
        }
    }
}

fn summary(settled: usize, backlog: &Backlog) -> String {
    let remains = match backlog.rows {
        0 => return format!("settled {settled}; nothing remains"),
        1 => "1 remains".to_owned(),
        rows => format!("{rows} remain"),
    };
    match backlog.next_due {
        Some(due) if due > backlog.now => {
            let seconds = until_due(backlog).as_secs_f64().ceil();
            let at = due.strftime("%Y-%m-%dT%H:%M:%SZ");
            format!("settled {settled}; {remains}, the next is due in {seconds} s, at {at}")
        }
        _ => format!("settled {settled}; {remains}, due now"),
    }
}

fn until_due(backlog: &Backlog) -> Duration {
    let due = backlog.next_due.unwrap_or(backlog.now);
    Duration::try_from(due.duration_since(backlog.now)).unwrap_or_default()
}

/// Turns on a terminal, and is nowhere to be seen elsewhere.
fn progress() -> ProgressBar {
    let progress = ProgressBar::new_spinner();
    if !progress.is_hidden() {
        progress.set_style(ProgressStyle::default_spinner());
        progress.enable_steady_tick(Duration::from_millis(100));
    }
    progress
}
