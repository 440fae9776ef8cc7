//! Every request is sent once, and to Stripe alone: what is to be repeated, the core decides.

use std::{env, process::Command};

use tenant_billing::{answer::Answer, ports::Stripe};

use super::{
    BEGIN_BY, EMAIL, KEY, client, customer, frozen, no_answer, response,
    wire::{Reply, Wire, whole},
};

/// Calls one of the endpoints.
async fn call(stripe: &dyn Stripe, nth: usize) -> Answer {
    match nth {
        0 => stripe.account().await,
        1 => stripe.retrieve_customer(&customer("cus_1")).await,
        2 => stripe.list_customers(EMAIL, None).await,
        3 => stripe.search_customers("q", None).await,
        4 => stripe.list_created_events(jiff::Timestamp::UNIX_EPOCH, None).await,
        _ => stripe.create_customer(&frozen(), BEGIN_BY).await,
    }
}

#[tokio::test]
async fn a_request_that_fails_is_not_repeated() {
    for nth in 0..6 {
        for status in ["429 Too Many Requests", "500 Oh", "503 Service Unavailable"] {
            let wire = Wire::new([Reply::Say(whole(status, "{}"))]).await;
            let code: u16 = status[..3].parse().unwrap();
            assert_eq!(response(call(&client(&wire.url), nth).await).0, code);
            assert_eq!(wire.seen().requests.len(), 1, "{status} of {nth}");
        }
        // The server reads the request and ends the connection, a new one and one in use.
        for before in [0, 1] {
            let wire = Wire::new((0..before).map(|_| Reply::json("{}"))).await;
            let client = client(&wire.url);
            for _ in 0..before {
                response(call(&client, nth).await);
            }
            no_answer(call(&client, nth).await);
            let seen = wire.ended().await;
            assert_eq!((seen.opened, seen.requests.len()), (1, before + 1), "{nth}: {seen:?}");
        }
    }
}

const CHILD: &str = "TENANT_BILLING_TEST_BEHIND_A_PROXY";

/// The environment belongs to the whole process, so this test runs itself in another one.
#[tokio::test]
async fn what_stays_on_this_machine_never_goes_through_a_proxy() {
    if let Ok(url) = env::var(CHILD) {
        return behind_a_proxy(&url).await;
    }
    let (wire, proxy) = (
        Wire::new([Reply::json("{}"), Reply::json("{}")]).await,
        Wire::new([Reply::json("{}"), Reply::json("{}")]).await,
    );
    let mut child = Command::new(env::current_exe().unwrap());
    let name = module_path!().split_once("::").unwrap().1;
    let name = format!("{name}::what_stays_on_this_machine_never_goes_through_a_proxy");
    child.args(["--exact", &name, "--nocapture"]).env(CHILD, &wire.url);
    for unset in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(unset);
    }
    for set in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        child.env(set, &proxy.url);
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    // The proxy was there, and was asked for what is elsewhere.
    let (direct, proxied) = (wire.seen().requests, proxy.seen().requests);
    assert_eq!(proxied.len(), 1, "{proxied:#?}");
    assert!(proxied[0].starts_with("GET http://sandbox.invalid:12111/v1/account"), "{proxied:#?}");
    assert_eq!(direct.len(), 2, "{direct:#?}");
    assert!(direct.iter().all(|it| it.contains(KEY)), "{direct:#?}");
}

async fn behind_a_proxy(url: &str) {
    response(client(url).account().await);
    response(client(&url.replace("127.0.0.1", "localhost")).account().await);
    response(client("http://sandbox.invalid:12111").account().await);
}
