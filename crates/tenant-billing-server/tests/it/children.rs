//! A process that calls for many tenants at once, as a web server does: this very test binary, run
//! again with its orders in the environment.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tenant_billing::{
    Billing, SecretKey, StripeClient, SystemClock,
    ids::{Email, TenantId},
    request::CustomerDetails,
};
use tokio::task::JoinSet;

use crate::stage::{KEY, Stage, open};

const DATABASE: &str = "TEST_CHILD_DATABASE";
const STRIPE: &str = "TEST_CHILD_STRIPE";
const TENANTS: &str = "TEST_CHILD_TENANTS";
const ANSWERS: &str = "TEST_CHILD_ANSWERS";
const PATIENCE: &str = "TEST_CHILD_PATIENCE";

const CALLERS: &str = "TEST_CHILD_CALLERS";

/// What a process does.
pub(crate) struct Orders<'a> {
    /// For these tenants,
    pub(crate) tenants: &'a [String],
    /// so many callers of each call at once,
    pub(crate) callers: usize,
    /// each for so many seconds;
    pub(crate) patience: u64,
    /// and for each there is a line in this file, `tenant id` or `tenant error …`.
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
        .env(PATIENCE, orders.patience.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Does nothing unless it is such a process.
#[test]
fn calls_as_ordered() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let [stripe, tenants, callers, answers, patience] =
        [STRIPE, TENANTS, CALLERS, ANSWERS, PATIENCE].map(|name| std::env::var(name).unwrap());
    let (callers, patience) = (callers.parse().unwrap(), patience.parse().unwrap());
    let patience = Duration::from_secs(patience);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lines = runtime.block_on(call(&database, &stripe, &tenants, callers, patience));
    std::fs::write(answers, lines.join("\n")).unwrap();
}

async fn call(
    database: &str,
    stripe: &str,
    tenants: &str,
    callers: usize,
    patience: Duration,
) -> Vec<String> {
    let clock = SystemClock::shared();
    let store = open(database, Arc::clone(&clock));
    let client = StripeClient::new(SecretKey::parse(KEY).unwrap(), Arc::clone(&clock));
    let billing = Billing::new(store, Arc::new(client.with_base(stripe).unwrap()), clock);
    let mut calls = JoinSet::new();
    for number in 0..callers {
        for tenant in tenants.split(' ') {
            let (billing, tenant) = (billing.clone(), TenantId::parse(tenant).unwrap());
            let email = Email::parse(&format!("user-{number}@example.com")).unwrap();
            calls.spawn(async move {
                let details = CustomerDetails::new(email);
                match billing.get_or_create(&tenant, &details, patience).await {
                    Ok(provisioned) => format!("{tenant} {}", provisioned.customer),
                    Err(error) => format!("{tenant} error {error}"),
                }
            });
        }
    }
    calls.join_all().await
}
