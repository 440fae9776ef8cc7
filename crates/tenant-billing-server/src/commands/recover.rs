//! `recover`: completes interrupted work.
//!
//! An error about one tenant is printed, and the tenant is tried again the next time. An error that
//! concerns all tenants (a key that Stripe does not accept, the wrong account) ends the command,
//! because waiting does not help.

use std::{collections::HashMap, time::Duration};

use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;
use tenant_billing::{
    Attention, Billing, Error, Listing, OperatorError, Outcome, Problem, Recovery, TenantCustomer,
    ids::{CustomerId, TenantId},
    ports::{Backlog, StoreError},
};

use super::{
    list::{PrintedEntry, line, more},
    progress::spinner,
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
/// How many of the tenants that remain are named, in each state.
const NAMED: u32 = 100;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    provisioned: Vec<PrintedCustomer<'a>>,
    remaining: u64,
    next_due: Option<Timestamp>,
    entries: Vec<PrintedEntry<'a>>,
}

#[derive(Serialize)]
struct PrintedCustomer<'a> {
    tenant_id: &'a TenantId,
    stripe_customer_id: &'a CustomerId,
    outcome: Outcome,
}

/// What this command has done, and what stood in its way.
#[derive(Default)]
struct Done {
    provisioned: Vec<TenantCustomer>,
    /// What only an operator can put right, by tenant.
    operators: HashMap<TenantId, String>,
}

/// Processes what is due, once or until nothing remains, and prints the result.
pub(crate) async fn run(options: &Options, arguments: &Recover) -> Result<Exit, Failure> {
    let session = Session::open(options).await?;
    let target = session.target(options)?;
    let running = session.connect(target).await?;
    let (progress, mut done) = (spinner(), Done::default());
    let work = work(&session, &running.billing, arguments, &progress, &mut done);
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
    let left = async {
        let pending = session.store.list(Attention::Pending, NAMED).await?;
        let in_doubt = session.store.list(Attention::InDoubt, NAMED).await?;
        Ok::<_, StoreError>((
            session.store.backlog().await?,
            [(Attention::Pending, pending), (Attention::InDoubt, in_doubt)],
        ))
    };
    let (backlog, left) = tokio::select! {
        left = left => left?,
        // A second signal, while the database does not say what remains.
        () = told_to_stop() => return Ok(Exit::Retry),
    };
    print(&done, &backlog, left, arguments.json)?;
    Ok(if backlog.rows == 0 { Exit::Done } else { Exit::Retry })
}

async fn work(
    session: &Session,
    billing: &Billing,
    arguments: &Recover,
    progress: &ProgressBar,
    done: &mut Done,
) -> Result<(), Failure> {
    loop {
        let backlog = match billing.recover_once().await {
            Ok(recovery) => {
                progress.suspend(|| report(&recovery, arguments))?;
                done.add(recovery)
            }
            Err(error) if arguments.wait && matches!(error.problem(), Problem::Retry { .. }) => {
                progress.set_message(error.to_string());
                session.clock.sleep(LONGEST_PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if backlog.rows == 0 || !arguments.wait {
            return Ok(());
        }
        progress.set_message(summary(done.provisioned.len(), &backlog));
        session.clock.sleep(until_due(&backlog).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

/// Prints what one run has done. What remains at the end is printed then.
fn report(recovery: &Recovery, arguments: &Recover) -> Result<(), Failure> {
    for it in recovery.provisioned.iter().filter(|_| !arguments.json) {
        output::print(&format!("{}  {}  {}", it.tenant, it.customer, it.outcome.as_str()))?;
    }
    for (tenant, error) in &recovery.postponed {
        if concerns_all(error) {
            return Err(error.clone().into());
        }
        if arguments.wait && !arguments.json {
            output::print(&format!("{tenant}  postponed: {error}"))?;
        }
    }
    Ok(())
}

impl Done {
    fn add(&mut self, recovery: Recovery) -> Backlog {
        self.provisioned.extend(recovery.provisioned);
        for (tenant, error) in recovery.postponed {
            match error.problem() {
                Problem::Operator(problem) => self.operators.insert(tenant, problem.to_string()),
                // What is in its way now is on record, and no longer what was.
                _ => self.operators.remove(&tenant),
            };
        }
        recovery.backlog
    }
}

/// Prints what remains, why, and when it is due; and how much was done.
fn print(
    done: &Done,
    backlog: &Backlog,
    mut left: [(Attention, Listing); 2],
    as_json: bool,
) -> Result<(), Failure> {
    for entry in left.iter_mut().flat_map(|(_, listing)| &mut listing.entries) {
        // What an operator must do says more than what went wrong.
        if let Some(problem) = done.operators.get(&entry.tenant) {
            entry.why = Some(format!("an operator must act: {problem}"));
        }
    }
    if as_json {
        let entries = left.iter().flat_map(|(what, listing)| {
            listing.entries.iter().map(|entry| PrintedEntry::of(*what, entry))
        });
        let provisioned = done.provisioned.iter().map(|it| PrintedCustomer {
            tenant_id: &it.tenant,
            stripe_customer_id: &it.customer,
            outcome: it.outcome,
        });
        return output::print_json(&Printed {
            provisioned: provisioned.collect(),
            remaining: backlog.rows,
            next_due: backlog.next_due,
            entries: entries.collect(),
        });
    }
    for (what, listing) in &left {
        for entry in &listing.entries {
            output::print(&line(*what, entry))?;
        }
        if let Some(more) = more(listing) {
            output::say(&format!("{more}; `tenant-billing list` shows them"));
        }
    }
    output::print(&summary(done.provisioned.len(), backlog))
}

/// Whether no tenant can be recovered until this is put right.
pub(super) fn concerns_all(error: &Error) -> bool {
    match error.problem() {
        Problem::Operator(error) => match error {
            OperatorError::BadKey(_)
            | OperatorError::AccountUnreadable(_)
            | OperatorError::AccountRefused(_)
            | OperatorError::NotDeclared(_)
            | OperatorError::WrongAccount { .. }
            | OperatorError::CopiedOrMoved(_)
            | OperatorError::TlsUntrusted(_)
            | OperatorError::Store(
                StoreError::Unavailable(_)
                | StoreError::SchemaMissing
                | StoreError::SchemaTooOld
                | StoreError::SchemaTooNew
                | StoreError::SchemaMismatch(_)
                | StoreError::Tls(_)
                | StoreError::Invalid(_),
            ) => true,
            // The application's table may refuse one tenant and accept another, and one row may be
            // unreadable.
            OperatorError::Store(StoreError::Refused(_) | StoreError::Corrupt(_))
            | OperatorError::UnexpectedAnswer(_)
            | OperatorError::NotPermitted(_)
            | OperatorError::BoundElsewhere(_)
            | OperatorError::ForeignCustomer { .. }
            | OperatorError::UnmarkedCustomers(_)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_now_fails_for_another_reason_shows_no_old_one() {
        let tenant = TenantId::parse("t-1").unwrap();
        let mut done = Done::default();
        let mut fails = |error: Error| {
            let backlog = Backlog { rows: 1, next_due: None, now: Timestamp::UNIX_EPOCH };
            let postponed = vec![(tenant.clone(), error)];
            done.add(Recovery { provisioned: Vec::new(), postponed, backlog });
            done.operators.get(&tenant).cloned()
        };
        let operator = OperatorError::OutOfReach;
        assert_eq!(fails(operator.clone().into()), Some(operator.to_string()));
        let after = Duration::from_secs(1);
        assert_eq!(fails(Problem::Retry { after, why: "HTTP 500".into() }.into()), None);
    }
}
