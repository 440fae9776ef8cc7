//! A process that calls for many tenants at once, as a web server does. It is this test binary, run
//! again with its orders in environment variables.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tenant_billing::{
    Billing, Policy, SecretKey, StripeClient,
    ids::{Email, TenantId},
    request::CustomerDetails,
};
use tokio::task::JoinSet;

use crate::stage::{KEY, Stage, open};

const DATABASE: &str = "TEST_CHILD_DATABASE";
const STRIPE: &str = "TEST_CHILD_STRIPE";
const TENANTS: &str = "TEST_CHILD_TENANTS";
const ANSWERS: &str = "TEST_CHILD_ANSWERS";
const DEADLINE: &str = "TEST_CHILD_DEADLINE";
const CALLERS: &str = "TEST_CHILD_CALLERS";

/// What a process does.
pub(crate) struct Orders<'a> {
    /// The tenants to call for.
    pub(crate) tenants: &'a [String],
    /// How many callers of each tenant call at once.
    pub(crate) callers: usize,
    /// The deadline of each call, in seconds.
    pub(crate) deadline: u64,
    /// The file for the results, a line for each call: `tenant id` or `tenant error …`.
    pub(crate) answers: &'a Path,
}

/// Starts a process.
pub(crate) fn start(stage: &Stage, orders: &Orders<'_>) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "children::calls_as_ordered"])
        .env(DATABASE, stage.url())
        .env(STRIPE, stage.sandbox.url())
        .env(TENANTS, orders.tenants.join(" "))
        .env(CALLERS, orders.callers.to_string())
        .env(ANSWERS, orders.answers)
        .env(DEADLINE, orders.deadline.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Calls as ordered. In the tests' own process, it does nothing.
#[test]
fn calls_as_ordered() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let [stripe, tenants, callers, answers, deadline] =
        [STRIPE, TENANTS, CALLERS, ANSWERS, DEADLINE].map(|name| std::env::var(name).unwrap());
    let (callers, deadline) = (callers.parse().unwrap(), deadline.parse().unwrap());
    let deadline = Duration::from_secs(deadline);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lines = runtime.block_on(call(&database, &stripe, &tenants, callers, deadline));
    std::fs::write(answers, lines.join("\n")).unwrap();
}

async fn call(
    database: &str,
    stripe: &str,
    tenants: &str,
    callers: usize,
    deadline: Duration,
) -> Vec<String> {
    let client = StripeClient::new(SecretKey::parse(KEY).unwrap()).with_base(stripe).unwrap();
    let billing = Billing::shared(open(database), Arc::new(client), Policy::default());
    let mut calls = JoinSet::new();
    for number in 0..callers {
        for tenant in tenants.split(' ') {
            let (billing, tenant) = (billing.clone(), TenantId::parse(tenant).unwrap());
            let email = Email::parse(&format!("user-{number}@example.com")).unwrap();
            calls.spawn(async move {
                let details = CustomerDetails::new(email);
                match billing.get_or_create(&tenant, &details, deadline).await {
                    Ok(found) => format!("{tenant} {}", found.customer),
                    Err(error) => format!("{tenant} error {error}"),
                }
            });
        }
    }
    calls.join_all().await
}
