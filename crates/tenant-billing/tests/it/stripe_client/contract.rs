//! What the port promises, asked of both that serve it: the client with a sandbox behind it, and
//! the fake. So a host whose tests pass on the fake has tested against something that behaves like
//! Stripe.

use jiff::Timestamp;
use stripe_sandbox::Sandbox;
use tenant_billing::{
    FakeStripe,
    answer::{self, Answer, Failure, Page, Reading, Verdict, judge, read},
    ids::CustomerId,
    ports::Stripe,
};

use super::{BEGIN_BY, EMAIL, TENANT, client, customer, frozen, frozen_for};

#[tokio::test]
async fn the_client() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = client(&sandbox.url());
    check(&client, |id| sandbox.delete_customer(id.as_str())).await;
    assert_eq!(sandbox.customers().len(), 102);
}

#[tokio::test]
async fn the_fake() {
    let fake = FakeStripe::new();
    check(&fake, |id| fake.delete(id)).await;
    let customers = fake.customers();
    assert_eq!(customers.len(), 102);
    assert_eq!(customers[0].email.as_deref(), Some(EMAIL));
    assert_eq!(customers[0].metadata["tenantId"], TENANT);
    assert!(customers[0].deleted && !customers[1].deleted);
}

#[tokio::test]
async fn the_fake_fails_to_order() {
    let fake = FakeStripe::new();
    fake.fail_next(Answer::NoAnswer("lost".into()));
    assert!(matches!(create(&fake, TENANT, EMAIL).await, Verdict::Failed(Failure::Retry(None))));
    assert!(fake.customers().is_empty());
    made(create(&fake, TENANT, EMAIL).await);
}

async fn check(stripe: &dyn Stripe, delete: impl Fn(&CustomerId) -> bool) {
    let account = read(&stripe.account().await, answer::account_id);
    assert!(matches!(account, Reading::Found(id) if id.starts_with("acct_")));

    // A key is one request and one Customer.
    let (ours, replayed) = made(create(stripe, TENANT, EMAIL).await);
    assert!(!replayed);
    assert_eq!(made(create(stripe, TENANT, EMAIL).await), (ours.clone(), true));
    let mismatched = create(stripe, TENANT, "bob@example.com").await;
    assert_eq!(mismatched, Verdict::Failed(Failure::Mismatched));
    let Verdict::Failed(Failure::Rejected(why)) = create(stripe, "t-2", "ann@com").await else {
        panic!("a domain without a dot is refused");
    };
    assert_eq!(why.code.as_deref(), Some("email_invalid"));

    // A rejection is not saved under the key.
    made(create(stripe, "t-2", "ann@example.com").await);

    let found = found(read(&stripe.retrieve_customer(&ours).await, answer::Customer::parse));
    assert!(found.metadata("tenantId") == Some(TENANT) && !found.deleted);
    let missing = stripe.retrieve_customer(&customer("cus_nobody")).await;
    assert_eq!(read(&missing, answer::Customer::parse), Reading::Missing);

    // Pages of a hundred, newest first.
    for nth in 0..100 {
        made(create(stripe, &format!("n-{nth:03}"), "many@example.com").await);
    }
    let first = customers(&stripe.list_customers("many@example.com", None).await);
    assert_eq!((first.data.len(), first.has_more), (100, false));
    let first_id = &first.data[99].id;
    let rest = stripe.list_customers("many@example.com", Some(first_id)).await;
    assert!(customers(&rest).data.is_empty());
    let one = stripe.list_customers(EMAIL, None).await;
    assert_eq!(customers(&one).data[0].id, ours);

    let query = format!("metadata['tenantId']:'{TENANT}'");
    let hits = customers(&stripe.search_customers(&query, None).await);
    assert_eq!(hits.data.len(), 1);
    assert_eq!(hits.data[0].id, ours);

    // Events name the key that made each.
    let since = Timestamp::UNIX_EPOCH;
    let events = page(&stripe.list_created_events(since, None).await);
    assert_eq!((events.data.len(), events.has_more), (100, true));
    let last = &events.data[99].id;
    let events = page(&stripe.list_created_events(since, Some(last)).await);
    assert_eq!((events.data.len(), events.has_more), (2, false));
    let oldest = &events.data[1];
    assert_eq!(oldest.customer, ours);
    assert_eq!(oldest.idempotency_key.as_deref(), Some(frozen().key.as_str()));

    // A deleted one is still there to be retrieved, is not listed, and its key still answers.
    assert!(delete(&ours) && !delete(&ours));
    let gone = stripe.retrieve_customer(&ours).await;
    assert!(self::found(read(&gone, answer::Customer::parse)).deleted);
    assert!(customers(&stripe.list_customers(EMAIL, None).await).data.is_empty());
    assert_eq!(made(create(stripe, TENANT, EMAIL).await), (ours, true));
}

async fn create(stripe: &dyn Stripe, tenant: &str, email: &str) -> Verdict {
    let request = frozen_for(tenant, email);
    judge(&stripe.create_customer(&request, BEGIN_BY).await, &request)
}

#[track_caller]
fn made(verdict: Verdict) -> (CustomerId, bool) {
    match verdict {
        Verdict::Created { customer, replayed } => (customer, replayed),
        Verdict::Failed(failure) => panic!("{failure:?}"),
    }
}

#[track_caller]
fn found<T: std::fmt::Debug>(reading: Reading<T>) -> T {
    match reading {
        Reading::Found(found) => found,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn customers(answer: &Answer) -> Page<answer::Customer> {
    found(read(answer, answer::customers))
}

#[track_caller]
fn page(answer: &Answer) -> Page<answer::CreatedEvent> {
    found(read(answer, answer::created_events))
}
