//! A process that calls for many tenants at once, as a web server does: this very test binary, run
//! again with its orders in the environment.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tenant_billing::{
    Billing, SecretKey, SqliteStore, StripeClient, SystemClock,
    ids::{Email, TenantId},
    request::CustomerDetails,
};
use tokio::task::JoinSet;

use crate::stage::{KEY, Stage};

const DATABASE: &str = "TEST_CHILD_DATABASE";
const STRIPE: &str = "TEST_CHILD_STRIPE";
const TENANTS: &str = "TEST_CHILD_TENANTS";
const ANSWERS: &str = "TEST_CHILD_ANSWERS";
const PATIENCE: &str = "TEST_CHILD_PATIENCE";

const CALLERS: usize = 20;

/// Starts a process in which 20 callers of each tenant call at once, each for `patience` seconds, and
/// which writes a line `tenant id` to the file `answers` for each of them, or `tenant error …`.
pub(crate) fn start(stage: &Stage, tenants: &[String], patience: u64, answers: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "children::calls_as_ordered"])
        .env(DATABASE, stage.database())
        .env(STRIPE, stage.sandbox.url())
        .env(TENANTS, tenants.join(" "))
        .env(ANSWERS, answers)
        .env(PATIENCE, patience.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Does nothing unless it is such a process.
#[test]
fn calls_as_ordered() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let [stripe, tenants, answers, patience] =
        [STRIPE, TENANTS, ANSWERS, PATIENCE].map(|name| std::env::var(name).unwrap());
    let patience = Duration::from_secs(patience.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lines = runtime.block_on(call(&database, &stripe, &tenants, patience));
    std::fs::write(answers, lines.join("\n")).unwrap();
}

async fn call(database: &str, stripe: &str, tenants: &str, patience: Duration) -> Vec<String> {
    let clock = SystemClock::shared();
    let store = Arc::new(SqliteStore::open(database, Arc::clone(&clock)).unwrap());
    let client = StripeClient::new(SecretKey::parse(KEY).unwrap(), Arc::clone(&clock));
    let billing = Billing::new(store, Arc::new(client.with_base(stripe).unwrap()), clock);
    let mut calls = JoinSet::new();
    for number in 0..CALLERS {
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
