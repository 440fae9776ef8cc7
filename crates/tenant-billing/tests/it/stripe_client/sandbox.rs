//! Against the sandbox, which shares no code with us: faults become what they are.

use stripe_sandbox::{Fault, Rule, Sandbox, When};
use tenant_billing::{
    answer::{Verdict, judge},
    ports::Stripe,
};

use super::{BEGIN_BY, client, frozen, no_answer, response};

#[tokio::test]
async fn faults_that_leave_no_answer() {
    let (before, after) = (When::Before, When::After);
    for (fault, expected) in [
        (Fault::RequestLost, "the connection"),
        (Fault::AnswerLost, "the connection"),
        (Fault::Reset { when: before }, "the connection"),
        (Fault::Reset { when: after }, "the connection"),
        (Fault::TruncatedBody, "the answer's body was cut off"),
    ] {
        let sandbox = Sandbox::start().await.unwrap();
        let client = client(&sandbox.url());
        // Once on a fresh connection, once on one that has served.
        for served in [false, true] {
            if served {
                response(client.account().await);
            }
            sandbox.arm(Rule::new(fault.clone()).method("POST"));
            let sent = sandbox.counters().requests;
            let why = no_answer(client.create_customer(&frozen(), BEGIN_BY).await);
            assert!(why.starts_with(expected), "{fault:?}: {why}");
            assert_eq!(sandbox.counters().requests, sent + 1, "{fault:?} is not retried");
        }
        let request = frozen();
        let answer = client.create_customer(&request, BEGIN_BY).await;
        assert!(matches!(judge(&answer, &request), Verdict::Created { .. }));
        assert_eq!(sandbox.customers().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn faults_that_are_answers() {
    for (fault, expected) in [
        (Fault::BadGateway { when: When::After }, 502),
        (Fault::RateLimited { retry_after: Some(2) }, 429),
        (Fault::ServerError { should_retry: true }, 500),
        (Fault::StoredError { side_effect: true }, 500),
    ] {
        let sandbox = Sandbox::start().await.unwrap();
        let client = client(&sandbox.url());
        sandbox.arm(Rule::new(fault.clone()).method("POST"));
        let answer = client.create_customer(&frozen(), BEGIN_BY).await;
        assert_eq!(response(answer).0, expected, "{fault:?}");
        assert_eq!(sandbox.counters().requests, 1, "{fault:?} is not retried");
    }
}

#[tokio::test]
async fn deletion() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = client(&sandbox.url());
    let request = frozen();
    let answer = client.create_customer(&request, BEGIN_BY).await;
    let Verdict::Created { customer, .. } = judge(&answer, &request) else {
        panic!("it was created");
    };
    let (status, body) = response(client.delete_customer(&customer).await);
    assert_eq!(status, 200);
    assert!(body.contains("deleted"));
    assert!(sandbox.customers()[0].deleted);
    assert_eq!(response(client.delete_customer(&customer).await).0, 404);
}
