//! Whose Customer it is: other applications and other software on the same Stripe account, copies of
//! the database, and keys of another account or mode.

use std::{process::Command, time::Duration};

use serde_json::Value;
use stripe_sandbox::Sandbox;
use tenant_billing::{
    SecretKey, StripeClient,
    ids::{IdempotencyKey, InstallationId, Mode, TenantId},
    ports::Stripe as _,
    request::{Account, CustomerDetails, FrozenRequest, Identity},
};
use tokio::runtime::Runtime;

use crate::{server::Database, stage::text};

const UUID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const TEST: &str = "sk_test_1";
const LIVE: &str = "sk_live_1";

/// Stripe, which several applications use.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) sandbox: Sandbox,
}

/// One application: a database, and the key that it uses.
struct App<'a> {
    world: &'a World,
    database: Database,
    key: &'static str,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let sandbox = runtime.block_on(Sandbox::start()).unwrap();
        Self { runtime, sandbox }
    }

    /// An application with this type of keys, and the tenants 1 to 3 or one with a UUID.
    fn app(&self, keys: &str, key: &'static str) -> App<'_> {
        let database = self.runtime.block_on(Database::fresh());
        let tenants = if keys == "uuid" { format!("'{UUID}'") } else { "1), (2), (3".to_owned() };
        self.runtime.block_on(database.run(&format!(
            "CREATE TABLE tenants (id {keys} PRIMARY KEY);
             CREATE TABLE tenant_config (
                 tenant_id {keys} PRIMARY KEY REFERENCES tenants (id),
                 stripe_customer_id text UNIQUE);
             INSERT INTO tenants VALUES ({tenants})"
        )));
        let app = App { world: self, database, key };
        assert_eq!(app.run(&["migrate"]).0, 0);
        app
    }

    /// The program on this database, with this key, or none.
    pub(crate) fn program(&self, url: &str, key: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-billing"));
        command.env_clear().env("DATABASE_URL", url).env("STRIPE_API_BASE", self.sandbox.url());
        command.env("STRIPE_SECRET_KEY", key);
        command
    }

    /// Other software creates a Customer with this metadata, and the e-mail address that all here
    /// have.
    fn plant(&self, key: &str, metadata: &str) -> String {
        let mode = if key == LIVE { Mode::Live } else { Mode::Test };
        let account = Account { id: "acct_sandbox".parse().unwrap(), mode };
        let installation = InstallationId::parse("other-software").unwrap();
        let identity = Identity { installation, account, stripe_account: None };
        let details = CustomerDetails::new("owner@example.com".parse().unwrap());
        let tenant = TenantId::parse("1").unwrap();
        let mut request = FrozenRequest::freeze(&identity, &tenant, 1, &details);
        let count = self.sandbox.customers().len();
        request.key = IdempotencyKey::parse(&format!("planted-{count}")).unwrap();
        request.body = format!("email=owner%40example.com&{metadata}");
        let client = StripeClient::new(SecretKey::parse(key).unwrap());
        let client = client.with_base(&self.sandbox.url()).unwrap();
        let begin_by = Duration::from_secs(u64::MAX / 4);
        let _ = self.runtime.block_on(client.create_customer(&request, begin_by));
        self.sandbox.customers().pop().expect("it was created").id
    }
}

impl App<'_> {
    /// The exit code, and everything that was printed.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        self.run_with(self.key, arguments)
    }

    fn run_with(&self, key: &str, arguments: &[&str]) -> (i32, String) {
        let mut command = self.world.program(&self.database.url(), key);
        let (code, printed, said) = text(&command.args(arguments).output().unwrap());
        (code, (printed + &said).trim_end().to_owned())
    }

    /// Asks for a tenant's Customer, with an inquiry first and these flags.
    fn ask(&self, tenant: &str, flags: &[&str]) -> (i32, String) {
        let call = ["--inquire-first", "get-or-create", tenant, "owner@example.com"];
        self.run(&[&call, flags].concat())
    }

    /// The `error` object that a call fails with.
    fn refused(&self, tenant: &str, flags: &[&str]) -> Value {
        let (code, printed) = self.ask(tenant, &[flags, &["--json"]].concat());
        assert_eq!(code, 6, "{printed}");
        serde_json::from_str::<Value>(&printed).unwrap()["error"].clone()
    }

    /// A copy of the database, with the same key.
    fn copy(&self) -> App<'_> {
        let database = self.world.runtime.block_on(self.database.copied());
        App { world: self.world, database, key: self.key }
    }
}

fn customer((code, printed): (i32, String)) -> String {
    assert!(code == 0 && printed.starts_with("cus_"), "{code} {printed}");
    printed.lines().next().unwrap().to_owned()
}

#[test]
fn an_unmarked_customer_is_adopted_only_where_the_tenants_id_is_nobody_elses() {
    let world = World::new();
    let numbers = world.app("bigint", TEST);
    let theirs = world.plant(TEST, "metadata[tenantId]=1");
    let error = numbers.refused("1", &[]);
    assert_eq!(error["cause"], "unmarked_customer", "{error}");
    let said = format!("{} {}", error["message"], error["hint"]);
    for part in [theirs.as_str(), "--unmarked adopt", "--unmarked ignore"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(world.sandbox.customers().len(), 1, "nothing was created");
    let ours = customer(numbers.ask("1", &["--unmarked", "ignore"]));
    assert_ne!(ours, theirs);
    assert_eq!(numbers.run(&["lookup", "1"]), (0, ours));

    let second = world.plant(TEST, "metadata[tenantId]=2");
    assert_eq!(customer(numbers.ask("2", &["--unmarked", "adopt"])), second);
    let (code, said) = numbers.ask("3", &["--unmarked", "perhaps"]);
    assert!(code == 2 && said.contains("--unmarked: is none of adopt, stop and ignore"), "{said}");
}

#[test]
fn a_uuid_is_recognized_in_every_spelling_of_postgresql() {
    for spelling in [
        UUID.to_owned(),
        UUID.to_uppercase(),
        UUID.replace('-', ""),
        format!("{{{UUID}}}"),
        "7C9E-6679-7425-40DE-944B-E07F-C1F9-0AE7".to_owned(),
    ] {
        let world = World::new();
        let app = world.app("uuid", TEST);
        let theirs = world.plant(TEST, &format!("metadata[tenantId]={spelling}"));
        assert_eq!(customer(app.ask(UUID, &[])), theirs, "{spelling}");
        assert_eq!(world.sandbox.customers().len(), 1);
    }
    // In a column of texts, the other spelling may be another tenant.
    let world = World::new();
    let app = world.app("uuid", TEST);
    let sql = "ALTER TABLE tenant_config DROP CONSTRAINT tenant_config_tenant_id_fkey;
               ALTER TABLE tenants ALTER id TYPE text; ALTER TABLE tenant_config ALTER tenant_id TYPE text";
    world.runtime.block_on(app.database.run(sql));
    assert_eq!(app.run(&["migrate"]).0, 0);
    world.plant(TEST, &format!("metadata[tenantId]={}", UUID.to_uppercase()));
    assert_eq!(app.refused(UUID, &[])["cause"], "unmarked_customer");
    let exact = world.plant(TEST, &format!("metadata[tenantId]={UUID}"));
    assert_eq!(customer(app.ask(UUID, &[])), exact);
}

#[test]
fn two_applications_on_one_live_account_each_have_their_own() {
    let world = World::new();
    let (one, two) = (world.app("bigint", LIVE), world.app("bigint", LIVE));
    let first = customer(one.ask("1", &[]));
    let error = two.refused("1", &[]);
    assert_eq!(error["cause"], "foreign_customer", "{error}");
    assert!(error["message"].as_str().unwrap().contains(&first), "{error}");
    // The hint has the command.
    let hint = error["hint"].as_str().unwrap();
    let command = hint.split('`').nth(1).unwrap();
    let words: Vec<_> = command.split(' ').skip(1).collect();
    assert_eq!(words[..2], ["installation", "ignore"], "{hint}");
    let (code, said) = two.run(&words);
    assert!(code == 0 && said.contains(words[2]), "{said}");
    assert!(two.run(&words).1.contains("as it was before"));
    let second = customer(two.ask("1", &[]));
    assert_ne!(first, second);
    assert_eq!(customer(one.ask("1", &[])), first);

    let own = two.run(&["installation", "show", "--json"]).1;
    let own: Value = serde_json::from_str(&own).unwrap();
    assert_eq!(own["ignored"], serde_json::json!([words[2]]), "{own}");
    let (code, said) = two.run(&["installation", "ignore", own["installation"].as_str().unwrap()]);
    assert!(code == 2 && said.contains("installation: is this database's own id"), "{said}");
}

#[test]
fn other_metadata_keys_of_ones_own_software_are_looked_for() {
    for metadata in ["metadata[userId]=", "metadata[organizationId]="] {
        let world = World::new();
        let app = world.app("uuid", TEST);
        let theirs = world.plant(TEST, &format!("{metadata}{UUID}"));
        let keys = ["--tenant-metadata-key", "userId", "--tenant-metadata-key", "organizationId"];
        assert_eq!(customer(app.ask(UUID, &keys)), theirs);
        let numbers = world.app("bigint", TEST);
        let stranger = world.plant(TEST, &format!("{metadata}3"));
        let error = numbers.refused("3", &keys);
        assert!(error["message"].as_str().unwrap().contains(&stranger), "{error}");
        let (code, said) = app.ask(UUID, &["--tenant-metadata-key", "a[b]"]);
        assert!(code == 2 && said.contains("--tenant-metadata-key: has a bracket"), "{said}");
    }
}

#[test]
fn a_copy_is_noticed_at_its_first_call_that_needs_stripe() {
    let world = World::new();
    let app = world.app("bigint", LIVE);
    let original = customer(app.ask("1", &[]));
    for (next, (answer, tenant_1_is_shared)) in (11..).zip([
        (&["installation", "moved"][..], true),
        (&["installation", "copied", "--keep-bindings", "--yes"], true),
        (&["installation", "copied", "--forget-bindings", "--yes"], false),
    ]) {
        let copy = app.copy();
        // The original goes on, and its new tenant has the id that the copy's next one has.
        let before = world.sandbox.customers().len();
        assert_eq!(copy.refused("3", &[])["cause"], "copied_or_moved");
        assert_eq!(copy.run(&["recover"]).0, 0, "there is nothing to recover");
        assert_eq!(world.sandbox.customers().len(), before);
        assert!(copy.run(&["installation", "show"]).1.contains("copied or moved"));
        assert_eq!(copy.run(&["lookup", "1"]), (0, original.clone()));

        let (code, said) = copy.run(answer);
        assert_eq!(code, 0, "{said}");
        assert!(!copy.run(&["installation", "show"]).1.contains("copied or moved"));
        let call = |app: &App<'_>, tenant| {
            customer(app.run(&["get-or-create", tenant, "owner@example.com"]))
        };
        assert_eq!(call(&copy, "1") == original, tenant_1_is_shared, "{answer:?}");
        // It may create again.
        let before = world.sandbox.counters().customers_created;
        call(&copy, "3");
        assert_eq!(world.sandbox.counters().customers_created, before + 1, "{answer:?}");
        if answer[1] == "copied" {
            // A tenant that was registered in both since then.
            for it in [&app, &copy] {
                let sql = format!("INSERT INTO tenants VALUES ({next})");
                world.runtime.block_on(it.database.run(&sql));
            }
            let next = &next.to_string();
            let (theirs, ours) = (call(&app, next), call(&copy, next));
            assert_ne!(theirs, ours, "each has its own");
            assert_eq!((call(&app, next), call(&copy, next)), (theirs, ours));
            let history = copy.run(&["history", "1"]).1;
            assert!(history.contains("created"), "the trail stays: {history}");
        }
    }
}

#[test]
fn a_key_of_another_mode_or_account_gets_no_id_and_rebind_starts_afresh() {
    let world = World::new();
    let app = world.app("bigint", LIVE);
    let live = customer(app.ask("1", &[]));
    let call = &["get-or-create", "1", "owner@example.com"][..];
    for (key, account) in [(TEST, ""), (LIVE, "acct_another")] {
        let mut command = world.program(&app.database.url(), key);
        let command = command.args(call).env("STRIPE_ACCOUNT", account);
        let (code, printed, said) = text(&command.output().unwrap());
        assert_eq!((code, printed.as_str()), (6, ""), "{said}");
        assert!(
            said.contains("acct_sandbox in live mode") && said.contains("account rebind"),
            "{said}"
        );
    }
    for command in [call, &["lookup", "1"]] {
        let mut declared = world.program(&app.database.url(), "");
        let declared = declared.args(command).env("STRIPE_ACCOUNT", "acct_another");
        let (code, printed, said) = text(&declared.output().unwrap());
        assert_eq!((code, printed.as_str()), (6, ""), "{said}");
    }
    // A tenant that has its Customer needs no Stripe, and so no key.
    assert_eq!(app.run_with("", call), (0, live.clone()));
    assert_eq!(app.run_with("", &["get-or-create", "2", "owner@example.com"]).0, 6);
    let (_, printed) = app.run(&["lookup", "1", "--json"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["mode"], "live");
    assert_eq!(app.run(&["account", "show"]), (0, "acct_sandbox in live mode".to_owned()));

    // Nobody is there to confirm.
    let (code, said) = app.run(&["account", "rebind", "--yes"]);
    assert!(code == 2 && said.contains("STRIPE_SECRET_KEY: opens the account"), "{said}");
    let (code, said) = app.run_with(TEST, &["account", "rebind"]);
    assert!(code == 2 && said.contains("1 Customer") && said.contains("--yes"), "{said}");
    assert_eq!(app.run(&["lookup", "1"]).1, live, "nothing was changed");

    let (code, said) = app.run_with(TEST, &["account", "rebind", "--yes"]);
    assert!(code == 0 && said.contains("forgot the account and 1 Customer"), "{said}");
    assert_eq!(app.run(&["lookup", "1"]).0, 1);
    assert!(app.run(&["account", "show"]).1.starts_with("none yet"));
    let test = customer(app.run_with(TEST, call));
    assert_ne!(test, live);
    let history = app.run(&["history", "1"]).1;
    assert!(history.contains(&live) && history.contains(&test), "{history}");
    let (code, said) = app.run(call);
    assert!(code == 6 && said.contains("acct_sandbox in test mode"), "{said}");
}

/// Promise 5: a new tenant costs one request, also in a process that starts for this call alone.
#[test]
fn a_process_that_starts_for_one_call_makes_one_request() {
    let world = World::new();
    let app = world.app("bigint", TEST);
    let requests = |key: &str, tenant| {
        let before = world.sandbox.counters().requests;
        customer(app.run_with(key, &["get-or-create", tenant, "owner@example.com"]));
        world.sandbox.counters().requests - before
    };
    assert_eq!(requests(TEST, "1"), 2, "the first call asks whose key it is");
    assert_eq!(requests(TEST, "2"), 1);
    assert_eq!(requests("sk_test_2", "3"), 2, "so does the first one with another key");
    assert_eq!(requests(TEST, "3"), 0);
    let kept = "SELECT string_agg(fingerprint, ' ') FROM stripe_key";
    let kept = world.runtime.block_on(app.database.cell(kept));
    assert!(kept.len() == 64 * 2 + 1 && !kept.contains("sk_test"), "{kept}");
}
