//! The program: its one line, its end, and the state after a `kill -9`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::client::{KEY, request};

/// The program, killed when dropped.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(state: &Path) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stripe-sandbox"))
            .args(["--listen", "127.0.0.1:0", "--seed", "1", "--state"])
            .arg(state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Program { child, url: url.trim().to_owned() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let mut ids = Vec::new();
    for round in 0..3 {
        let program = Program::start(&path);
        assert!(program.url.starts_with("http://127.0.0.1:"), "{}", program.url);
        for number in 0..20 {
            let post = request(&program.url, "POST", "/v1/customers").auth(KEY);
            ids.push(post.key(&format!("{round}-{number}")).send().await.id());
        }
        // SIGKILL, at the end of the scope.
    }
    let program = Program::start(&path);
    let known = request(&program.url, "GET", "/_sandbox/customers").send().await.json();
    let known = known["customers"].as_array().unwrap();
    assert_eq!(known.iter().map(|c| c["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn nor_what_was_changed_put_off_or_is_to_be_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let receiver = crate::receiver::Receiver::start().await;
    let first = Program::start(&path);
    let send = async |url: &str, method: &str, path: &str, body: &str| {
        let call = request(url, method, path).auth(KEY).key("k").body(body).send().await;
        assert!(call.status == 200 || call.status == 500, "{}", call.body);
        call
    };
    let control = async |url: &str, path: &str, body: &str| {
        let method = if path == "webhooks" { "PUT" } else { "POST" };
        request(url, method, &format!("/_sandbox/{path}")).body(body).send().await.json()
    };
    let hook = format!("url={}&enabled_events[]=*", receiver.url.replace('&', "%26"));
    let hook = request(&first.url, "POST", "/v1/webhook_endpoints").auth(KEY).body(&hook);
    let hook = hook.send().await.id();
    control(&first.url, "webhooks", r#"{"held": true}"#).await;
    let create = request(&first.url, "POST", "/v1/customers").auth(KEY);
    let id = create.send().await.id();
    let update = format!("/v1/customers/{id}");
    let updated = send(&first.url, "POST", &update, "name=new").await;
    let late = r#"{"fault": {"kind": "late_effect", "seconds": 600}}"#;
    control(&first.url, "faults", late).await;
    assert_eq!(create.key("late").send().await.status, 500);
    // SIGKILL.
    drop(first);

    let second = Program::start(&path);
    let kinds: Vec<_> = receiver.take(2).await.iter().map(|l| l.event()["type"].clone()).collect();
    assert_eq!(kinds, ["customer.created", "customer.updated"]);
    let replay = send(&second.url, "POST", &update, "name=new").await;
    assert_eq!((replay.header("idempotent-replayed"), &replay.body), (Some("true"), &updated.body));
    let hooks = request(&second.url, "GET", "/v1/webhook_endpoints").auth(KEY).send().await;
    assert_eq!(hooks.ids(), [hook]);
    control(&second.url, "clock", r#"{"advance_seconds": 600}"#).await;
    let list = request(&second.url, "GET", "/v1/customers").auth(KEY).send().await.ids();
    assert_eq!((list.len(), &list[1]), (2, &id));
}

#[cfg(unix)]
#[test]
fn it_ends_well_when_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    for signal in ["-INT", "-TERM"] {
        let mut program = Program::start(&dir.path().join("state"));
        let pid = program.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert!(program.child.wait().unwrap().success(), "{signal}");
    }
}

#[cfg(unix)]
#[test]
fn it_can_be_stopped_while_it_waits_for_the_state_file() {
    let dir = tempfile::tempdir().unwrap();
    let first = Program::start(&dir.path().join("state"));
    let mut second = Command::new(env!("CARGO_BIN_EXE_stripe-sandbox"))
        .args(["--listen", "127.0.0.1:0", "--state"])
        .arg(dir.path().join("state"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = second.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    second.wait().unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut second.stdout.take().unwrap(), &mut said).unwrap();
    assert_eq!(said, "", "it had started while {} ran", first.url);
}

#[test]
fn it_says_why_it_cannot_start() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stripe-sandbox"))
        .args(["--listen", "127.0.0.1:0", "--state"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("stripe-sandbox: cannot start"), "{message}");
}
