//! A creation leaves in its time, or not at all.

use std::time::Duration;

use tenant_billing::ports::Stripe;

use super::{
    BEGIN_BY, client_at, frozen, no_answer, response,
    wire::{Reply, Wire},
};

const LATE: Duration = Duration::from_nanos(30_000_000_001);
const CLOSED: &str = "not sent, since the time to begin had passed";

#[tokio::test]
async fn a_closed_window_opens_no_connection() {
    let wire = Wire::new([]).await;
    let client = client_at(&wire.url, [LATE]);
    let answer = client.create_customer(&frozen(), BEGIN_BY).await;
    assert_eq!(no_answer(answer), CLOSED);
    assert_eq!(wire.seen().opened, 0);
}

/// Open when the call came, closed when the connection was there.
#[tokio::test]
async fn a_window_that_closes_while_connecting_lets_nothing_out() {
    let wire = Wire::new([]).await;
    let client = client_at(&wire.url, [Duration::ZERO, LATE]);
    let answer = client.create_customer(&frozen(), BEGIN_BY).await;
    assert_eq!(no_answer(answer), CLOSED);
    let seen = wire.ended().await;
    assert_eq!(seen.opened, 1, "it did connect");
    assert!(seen.requests.is_empty() && seen.scraps.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn nor_does_a_pooled_connection() {
    let wire = Wire::new([Reply::json("{}")]).await;
    let client = client_at(&wire.url, [Duration::ZERO, LATE]);
    response(client.account().await);
    let answer = client.create_customer(&frozen(), BEGIN_BY).await;
    assert_eq!(no_answer(answer), CLOSED);
    let seen = wire.ended().await;
    assert_eq!((seen.opened, seen.requests.len()), (1, 1), "{seen:?}");
    assert!(seen.scraps.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn the_last_moment_is_in_time() {
    let wire = Wire::new([Reply::json("{}")]).await;
    let client = client_at(&wire.url, [Duration::ZERO, BEGIN_BY]);
    let answer = client.create_customer(&frozen(), BEGIN_BY).await;
    assert_eq!(response(answer).0, 200);
    assert_eq!(wire.seen().requests.len(), 1);
}
