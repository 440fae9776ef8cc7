//! What the program says when something stands in the way: it ends at its deadline and says so, it
//! says what goes on when it is told to stop, and no failure denies a Customer that may exist.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rusqlite::Connection;
use serde_json::Value;
use stripe_sandbox::{Fault, Rule, When};
use tenant_billing::SystemClock;

use crate::stage::{KEY, Stage, text};

/// The deadline of the calls here, and when they must have ended. (The old program took 5 s.)
const DEADLINE: &str = "--deadline=1";
const AT_LATEST: Duration = Duration::from_millis(2500);

fn get_or_create(stage: &Stage, tenant: &str) -> Command {
    let mut command = stage.binary(&["get-or-create", tenant, "owner@example.com", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The `error` object that a failing command prints.
fn error(command: &mut Command) -> (i32, Value) {
    let (code, printed, said) = text(&command.output().unwrap());
    let printed: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{said}"));
    (code, printed["error"].clone())
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Stripe answers after so many milliseconds.
fn slow(stage: &Stage, ms: u64) {
    let delay = Fault::Delay { ms, when: When::After };
    stage.sandbox.arm(Rule::new(delay).method("POST").always());
}

fn wait_for_a_customer(stage: &Stage) {
    while stage.sandbox.counters().customers_created == 0 {
        stage.sleep(Duration::from_millis(5));
    }
}

/// Whatever hangs: Stripe, a lock on the application's table, a file that somebody has locked, a
/// server that accepts connections and is silent.
#[test]
fn a_command_ends_at_its_deadline_whatever_hangs() {
    let clock = SystemClock::shared();
    let ends = |what: &str, command: &mut Command| {
        let began = clock.uptime();
        let (code, error) = error(command.arg(DEADLINE));
        let took = clock.uptime() - began;
        assert!(took < AT_LATEST, "{what}: {took:?} {error}");
        assert_eq!((code, &error["code"]), (5, &Value::from("retry_later")), "{what}: {error}");
        assert_eq!(error["customer_may_exist"], true, "{what}: {error}");
        let after = error["retry_after_seconds"].as_u64().unwrap();
        assert!((1..=10).contains(&after), "{what}: {error}");
    };

    let stage = Stage::new();
    let tenants = stage.tenants(2);
    slow(&stage, 20_000);
    ends("Stripe", &mut get_or_create(&stage, &tenants[0]));
    let lock = Connection::open(stage.database()).unwrap();
    lock.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    ends("SQLite", &mut get_or_create(&stage, &tenants[1]));
    drop(lock);

    let stage = Stage::on_server();
    let tenants = stage.tenants(1);
    let lock = stage.runtime.block_on(stage.server().connect());
    let locked = lock.batch_execute("BEGIN; LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE");
    stage.runtime.block_on(locked).unwrap();
    ends("PostgreSQL", &mut get_or_create(&stage, &tenants[0]));

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u@{}/d", silent.local_addr().unwrap());
    ends("a server", get_or_create(&stage, &tenants[0]).env("DATABASE_URL", url));
}

#[test]
fn a_command_that_is_told_to_stop_says_what_goes_on() {
    for (number, name) in [(0, "-INT"), (1, "-TERM")] {
        let stage = Stage::new();
        let tenants = stage.tenants(2);
        slow(&stage, 6000);
        let child = get_or_create(&stage, &tenants[number]).spawn().unwrap();
        wait_for_a_customer(&stage);
        signal(&child, name);
        stage.sleep(Duration::from_millis(300));
        signal(&child, name);
        let (code, printed, said) = text(&child.wait_with_output().unwrap());
        assert_eq!(code, 5, "{name}: {said}");
        assert!(said.starts_with("stopping; this waits up to 3 s"), "{name}: {said}");
        let error: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(error["error"]["cause"], "interrupted", "{name}");
        assert_eq!(error["error"]["customer_may_exist"], true, "{name}");
        assert!(error["error"]["hint"].as_str().unwrap().contains("recover --wait"), "{printed}");
        stage.sandbox.disarm();
        // The key is in use until the first request has been answered.
        let mut again = get_or_create(&stage, &tenants[number]);
        let again = again.arg("--deadline=30").output().unwrap();
        assert_eq!(text(&again).0, 0);
        assert_eq!(stage.sandbox.counters().customers_created, 1);
    }
}

/// The answer is on its way, so the command still takes it in.
#[test]
fn a_command_that_is_told_to_stop_takes_in_what_is_on_its_way() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    slow(&stage, 1000);
    let child = get_or_create(&stage, &tenants[0]).spawn().unwrap();
    wait_for_a_customer(&stage);
    signal(&child, "-TERM");
    let (code, printed, said) = text(&child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{printed}{said}");
    assert!(printed.contains(r#""outcome":"created""#), "{printed}");
    stage.assert_all_bound();
}

#[test]
fn recovery_that_is_terminated_says_what_remains() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    stage.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
    assert_eq!(error(get_or_create(&stage, &tenants[0]).arg(DEADLINE)).0, 5);
    let mut recover = stage.binary(&["recover", "--wait"]);
    let child = recover.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stage.sleep(Duration::from_millis(500));
    signal(&child, "-TERM");
    let (code, printed, said) = text(&child.wait_with_output().unwrap());
    assert_eq!(code, 5, "{said}");
    assert!(printed.contains("\nprovisioned 0; 1 remains"), "{printed}");
    assert!(said.contains("the next `recover` completes it"), "{said}");
}

#[test]
fn closed_standard_streams_are_noticed() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    let run = |redirection: &str, arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("\"$@\" {redirection}"), "sh"]);
        command.arg(env!("CARGO_BIN_EXE_tenant-billing")).args(arguments);
        command.env("DATABASE_URL", stage.url()).env("STRIPE_SECRET_KEY", KEY);
        command.env("STRIPE_API_BASE", stage.sandbox.url()).env_remove("RUST_LOG");
        let (code, _, said) = text(&command.output().unwrap());
        (code, said)
    };
    let call = ["get-or-create", &*tenants[0], "owner@example.com"];
    let closed = "error: standard output is closed\n";
    for arguments in [&call[..], &["lookup", &tenants[0]], &["recover"]] {
        let (code, said) = run(">&-", arguments);
        assert!(code == 6 && said.starts_with(closed), "{arguments:?}: {code} {said}");
        // Whoever wants no output gets none.
        assert_eq!(run(">/dev/null", arguments), (0, String::new()), "{arguments:?}");
        assert_eq!(run("1<>/dev/null", arguments), (0, String::new()), "{arguments:?}");
    }
    let (code, said) = run("<&-", &["tenant", "add", "-"]);
    assert!(code == 6 && said.starts_with("error: standard input is closed\n"), "{said}");
    stage.assert_all_bound();
}

/// A key that is of no use says nothing of what an earlier call has begun.
#[test]
fn a_key_that_is_refused_denies_no_customer() {
    let stage = Stage::on_server();
    let tenants = stage.tenants(2);
    stage.sandbox.arm(Rule::new(Fault::AnswerLost).method("POST").always());
    assert_eq!(error(get_or_create(&stage, &tenants[0]).arg(DEADLINE)).0, 5);
    for key in ["sk_test_invalid1", "rk_test_noaccount", "sk_live_1", ""] {
        for (tenant, may_exist) in [(&tenants[0], true), (&tenants[1], key.is_empty())] {
            let mut command = get_or_create(&stage, tenant);
            let (code, error) = error(command.env("STRIPE_SECRET_KEY", key));
            assert_eq!(code, 6, "{error}");
            assert_eq!(error["customer_may_exist"], may_exist, "{key}: {error}");
        }
    }
}

/// The application adds a rule that no Customer's id meets.
#[test]
fn a_bind_that_the_applications_table_refuses_is_told_with_the_customer() {
    let stage = Stage::on_server();
    let tenants = stage.tenants(1);
    let sql =
        "ALTER TABLE tenant_config ADD CONSTRAINT no_customers CHECK (stripe_customer_id = '')";
    stage.runtime.block_on(stage.server().run(sql));
    let (code, error) = error(&mut get_or_create(&stage, &tenants[0]));
    assert_eq!((code, &error["cause"]), (6, &Value::from("write_refused")), "{error}");
    assert_eq!(error["customer_may_exist"], true, "{error}");
    let message = error["message"].as_str().unwrap();
    let customer = &stage.customers()[&tenants[0]][0];
    for words in ["tenant_config", "no_customers", customer] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let sql = "ALTER TABLE tenant_config DROP CONSTRAINT no_customers";
    stage.runtime.block_on(stage.server().run(sql));
    assert_eq!(text(&get_or_create(&stage, &tenants[0]).output().unwrap()).0, 0);
    stage.assert_all_bound();
}

/// The command prints its failure, so the log has it only where it is asked for.
#[test]
fn a_failure_is_told_once() {
    let stage = Stage::new();
    let tenants = stage.tenants(1);
    stage
        .sandbox
        .arm(Rule::new(Fault::ServerError { should_retry: false }).method("POST").always());
    let arguments = ["get-or-create", &*tenants[0], "owner@example.com", DEADLINE];
    let said = |log: Option<&str>| {
        let mut command = stage.binary(&arguments);
        let (code, _, said) = text(&command.envs(log.map(|it| ("RUST_LOG", it))).output().unwrap());
        assert_eq!(code, 5, "{said}");
        assert!(!said.contains("owner@"), "{said}");
        (said.matches("error: retry in").count(), said.matches(" WARN ").count())
    };
    assert_eq!(said(None), (1, 0));
    assert_eq!(said(Some("warn")), (1, 1));
}

/// Another program has created a Customer for each tenant. The flags make the first call look.
#[test]
fn the_flags_about_inquiries_are_passed_on() {
    for (flag, outcome) in [
        ("--inquire-first", "adopted"),
        ("--restored-at=2020-01-01T00:00:00Z", "adopted"),
        ("--deadline=10", "created"),
    ] {
        let stage = Stage::new();
        let tenants = stage.tenants(1);
        created_elsewhere(&stage, &tenants[0]);
        let (code, printed, said) =
            text(&get_or_create(&stage, &tenants[0]).arg(flag).output().unwrap());
        assert_eq!(code, 0, "{said}");
        assert!(printed.contains(&format!(r#""outcome":"{outcome}""#)), "{flag}: {printed}");
        if outcome == "created" {
            // Without a flag, it gets its second Customer, which the stage would not stand for.
            let ours: Value = serde_json::from_str(&printed).unwrap();
            stage.sandbox.delete_customer(ours["stripe_customer_id"].as_str().unwrap());
        }
    }
}

fn created_elsewhere(stage: &Stage, tenant: &str) {
    let body = format!("email=owner%40example.com&metadata%5BtenantId%5D={tenant}");
    let host = stage.sandbox.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "POST /v1/customers HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Only the direct URL leads to a server.
#[test]
fn migrations_use_the_direct_url() {
    let stage = Stage::on_empty_server();
    let mut migrate = stage.binary(&["migrate"]);
    migrate.env("DATABASE_DIRECT_URL", stage.url());
    migrate.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    assert_eq!(text(&migrate.output().unwrap()).0, 0);
    assert_eq!(text(&stage.binary(&["recover"]).output().unwrap()).0, 0);
}

/// Twenty rows are recovered at once, through as many connections as the setting permits.
#[test]
fn the_pool_has_the_size_that_is_set() {
    for size in [1, 3] {
        let stage = Stage::on_server();
        let tenants = stage.tenants(20);
        let pending = "UPDATE customer_provisioning SET next_attempt_at = clock()";
        stage.sandbox.arm(Rule::new(Fault::RequestLost).method("POST").always());
        let calls: Vec<_> = tenants
            .iter()
            .map(|tenant| get_or_create(&stage, tenant).arg(DEADLINE).spawn().unwrap())
            .collect();
        for call in calls {
            call.wait_with_output().unwrap();
        }
        stage.runtime.block_on(stage.server().run(pending));
        stage.sandbox.disarm();
        slow(&stage, 2000);
        let before = stage.sandbox.counters().requests;
        let mut recover = stage.binary(&["recover"]);
        let recover =
            recover.env("DATABASE_POOL_SIZE", size.to_string()).stdout(Stdio::null()).spawn();
        while stage.sandbox.counters().requests < before + 10 {
            stage.sleep(Duration::from_millis(20));
        }
        let count = "SELECT count(*) FROM pg_stat_activity
                     WHERE application_name = 'tenant-billing' AND datname = current_database()";
        let connections = stage.runtime.block_on(stage.server().cell(count));
        assert_eq!(connections, size.to_string());
        recover.unwrap().wait().unwrap();
    }
}
