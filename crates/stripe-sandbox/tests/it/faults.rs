//! Each fault on the wire, and the state after it.

use std::io::ErrorKind;

use stripe_sandbox::{Fault, FaultKind, Rule, Sandbox, When};

use crate::client::{create, delete, get};

/// How the first send of a create ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Closed without an answer.
    Closed,
    /// Reset.
    Reset,
    /// Half a body.
    Half,
    /// An answer with this status.
    Status(u16),
}

const BEFORE: When = When::Before;
const AFTER: When = When::After;

#[tokio::test]
async fn each_fault_ends_the_request_in_its_own_way() {
    use Fault::*;
    // The fault, the end of the request, whether the work was done, and whether the next send of
    // the key is a replay.
    let cases = [
        (RequestLost, End::Closed, false, false),
        (AnswerLost, End::Closed, true, true),
        (Delay { ms: 10, when: BEFORE }, End::Status(200), true, true),
        (Delay { ms: 10, when: AFTER }, End::Status(200), true, true),
        (Reset { when: BEFORE }, End::Reset, false, false),
        (Reset { when: AFTER }, End::Reset, true, true),
        (TruncatedBody, End::Half, true, true),
        (BadGateway { when: BEFORE }, End::Status(502), false, false),
        (BadGateway { when: AFTER }, End::Status(502), true, true),
        (RateLimited { retry_after: Some(3) }, End::Status(429), false, false),
        (ServerError { should_retry: true }, End::Status(500), false, false),
        (StoredError { side_effect: false }, End::Status(500), false, true),
        (StoredError { side_effect: true }, End::Status(500), true, true),
        (LateEffect { seconds: 60 }, End::Status(500), false, true),
        (SlowHeaders { ms: 10 }, End::Status(200), true, true),
        (SlowBody { ms: 10 }, End::Status(200), true, true),
        (LockTimeout { status: 429 }, End::Status(429), false, false),
        (LockTimeout { status: 409 }, End::Status(409), false, false),
        (ConnectionRefused { ms: 1 }, End::Closed, false, false),
    ];
    let mut kinds: Vec<FaultKind> = cases.iter().map(|(fault, ..)| fault.kind()).collect();
    kinds.dedup();
    assert_eq!(kinds, FaultKind::ALL, "a row for every kind");

    for (fault, end, done, replayed) in cases {
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.arm(Rule::new(fault.clone()));
        let request = create(&sandbox, &[("email", "anna@example.com")]).key("k");
        let ended = match request.try_send().await {
            Ok(answer) if !answer.is_whole() => {
                assert!(answer.body.len() > 10, "{answer:?}");
                End::Half
            }
            Ok(answer) => End::Status(answer.status),
            Err(why) if why.kind() == ErrorKind::ConnectionReset => End::Reset,
            Err(why) if why.kind() == ErrorKind::UnexpectedEof => End::Closed,
            Err(why) => panic!("{fault:?}: {why}"),
        };
        assert_eq!(ended, end, "{fault:?}");
        assert_eq!(sandbox.customers().len(), usize::from(done), "{fault:?}");

        // It strikes once, and is on record.
        let again = loop {
            match request.try_send().await {
                Err(why) if why.kind() == ErrorKind::ConnectionRefused => {}
                answer => break answer.unwrap(),
            }
        };
        assert_eq!(again.header("idempotent-replayed").is_some(), replayed, "{fault:?}");
        let name = fault.kind().name();
        assert_eq!(sandbox.counters().faults.get(name), Some(&1), "{fault:?}");
        let seen = match end {
            End::Status(status) => Some(status),
            End::Half => Some(200),
            End::Closed | End::Reset => None,
        };
        let log = sandbox.requests();
        assert_eq!((log.len(), log[0].status, log[0].fault.as_deref()), (2, seen, Some(name)));
    }
}

#[tokio::test]
async fn a_truncated_body_is_half_of_what_its_headers_promise() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.arm(Rule::new(Fault::TruncatedBody));
    let request = create(&sandbox, &[]).key("k");
    let cut = request.send().await;
    let whole = request.send().await;
    assert_eq!(cut.header("content-length"), Some(whole.body.len().to_string().as_str()));
    assert_eq!(cut.body, whole.body[..whole.body.len() / 2]);
}

#[tokio::test]
async fn faults_have_the_headers_of_who_answers() {
    let cases = [
        (Fault::RateLimited { retry_after: Some(7) }, "retry-after", Some("7")),
        (Fault::RateLimited { retry_after: None }, "retry-after", None),
        (
            Fault::RateLimited { retry_after: None },
            "stripe-rate-limited-reason",
            Some("global-rate"),
        ),
        (Fault::ServerError { should_retry: true }, "stripe-should-retry", Some("true")),
        (Fault::ServerError { should_retry: false }, "stripe-should-retry", None),
        (Fault::StoredError { side_effect: false }, "stripe-should-retry", Some("false")),
        (Fault::BadGateway { when: AFTER }, "content-type", Some("text/html")),
        (Fault::BadGateway { when: AFTER }, "request-id", None),
        (Fault::BadGateway { when: AFTER }, "original-request", None),
        (Fault::BadGateway { when: BEFORE }, "stripe-version", None),
    ];
    let sandbox = Sandbox::start().await.unwrap();
    for (number, (fault, header, value)) in cases.into_iter().enumerate() {
        sandbox.arm(Rule::new(fault.clone()));
        let answer = create(&sandbox, &[]).key(&number.to_string()).send().await;
        assert_eq!(answer.header(header), value, "{fault:?}");
    }
}

#[tokio::test]
async fn a_rule_strikes_what_it_is_meant_for() {
    let anna = [("email", "anna@example.com"), ("metadata[tenantId]", "t1")];
    let lost = || Rule::new(Fault::RequestLost);
    // A rule, and which of the requests below it strikes.
    let cases = [
        (lost(), [true, false, false, false, false]),
        (lost().times(2), [true, true, false, false, false]),
        (lost().always(), [true; 5]),
        (lost().nth(3), [false, false, true, false, false]),
        (lost().always().method("get"), [false, false, false, true, true]),
        (lost().always().path("/v1/ev"), [false, false, false, false, true]),
        (lost().always().tenant("t1"), [false, true, true, false, false]),
        (lost().always().tenant("t"), [false; 5]),
        (lost().always().key_contains("-2"), [false, true, false, false, false]),
        (lost().nth(2).method("POST").tenant("t1"), [false, false, true, false, false]),
    ];
    for (rule, expected) in cases {
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.arm(rule.clone());
        let requests = [
            create(&sandbox, &[]).key("key-1"),
            create(&sandbox, &anna).key("key-2"),
            create(&sandbox, &anna).key("key-3"),
            get(&sandbox, "/v1/customers"),
            get(&sandbox, "/v1/events"),
        ];
        let mut struck = [false; 5];
        for (request, struck) in requests.iter().zip(&mut struck) {
            *struck = request.try_send().await.is_err();
        }
        assert_eq!(struck, expected, "{rule:?}");
        sandbox.disarm();
        assert_eq!(create(&sandbox, &[]).send().await.status, 200);
    }
}

#[tokio::test]
async fn rules_take_turns_in_the_order_they_were_armed() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.arm(Rule::new(Fault::BadGateway { when: BEFORE }));
    sandbox.arm(Rule::new(Fault::RateLimited { retry_after: None }));
    sandbox.arm(Rule::new(Fault::ServerError { should_retry: false }).nth(4));
    for status in [502, 429, 200, 500, 200] {
        assert_eq!(create(&sandbox, &[]).send().await.status, status);
    }
}

#[tokio::test]
async fn faults_strike_reads_and_deletes_too() {
    let sandbox = Sandbox::start().await.unwrap();
    let id = create(&sandbox, &[]).send().await.id();
    let path = format!("/v1/customers/{id}");
    let stored = |side_effect| Rule::new(Fault::StoredError { side_effect });
    for (side_effect, deleted) in [(false, false), (true, true)] {
        sandbox.arm(stored(side_effect));
        assert_eq!(delete(&sandbox, &path).send().await.status, 500);
        assert_eq!(sandbox.customers()[0].deleted, deleted);
    }
    sandbox.arm(stored(true));
    assert_eq!(get(&sandbox, &path).send().await.status, 500);
    sandbox.arm(Rule::new(Fault::AnswerLost).method("GET"));
    assert!(get(&sandbox, &path).try_send().await.is_err());
    assert_eq!(get(&sandbox, &path).send().await.status, 200);
}
