//! No error says that nothing was begun where something may have been; what is remembered of the
//! database is read again when it is not what it was; and a caller is told what recovery will do.

use std::time::Duration;

use tenant_billing_core::{
    Error, Policy, Problem,
    ids::{InstallationId, Invalid},
    ports::{Clock, StoreError},
    state::{State, View},
};

use crate::{
    answers::{API, INVALID, response},
    fakes::{Commit, World, created, world},
    scene::{At, But, G, in_doubt, now, row_in, unbound, view},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn errors_of_the_database() -> Vec<StoreError> {
    vec![
        StoreError::Unavailable("connection refused".into()),
        StoreError::SchemaMissing,
        StoreError::SchemaTooOld,
        StoreError::SchemaTooNew,
        StoreError::SchemaMismatch("public.tenant_config has no column x".into()),
        StoreError::Refused("CHECK x of public.tenant_config".into()),
        StoreError::Corrupt("state".into()),
        StoreError::Invalid(Invalid::new("tenant_id", "is not a UUID")),
    ]
}

/// A tenant in each state, and whether its row shows that a Customer may exist.
fn states() -> Vec<(&'static str, View, bool)> {
    vec![
        ("no row", view(At::NoRow), false),
        ("vacant", view(At::Vacant), false),
        ("pending", view(At::Pending), true),
        ("in doubt", unbound(Some(row_in(in_doubt(now(), true)))), true),
        ("provisioned, column lost", view(At::Provisioned).nulled(), true),
        ("row lost", View { lost_generation: G, ..view(At::NoRow) }, true),
    ]
}

/// A key that cannot be used says nothing of what an earlier call has begun.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_denies_no_customer_that_a_row_shows() {
    let other_account = r#"{"id":"acct_other","object":"account"}"#;
    for answer in [
        response(401, &[], API),
        response(403, &[], INVALID),
        response(404, &[], INVALID),
        response(503, &[], API),
        response(200, &[], other_account),
        response(200, &[], "{}"),
    ] {
        for (state, view, may_exist) in states() {
            let world = world(Policy::default());
            world.store.data().account = Some(crate::scene::ours());
            world.store.put(view);
            world.stripe.says("account", [answer.clone()]);
            let error = world.call_within(seconds(1)).await.expect_err("the key is of no use");
            assert_eq!(error.may_have_created(), may_exist, "{state}: {error}");
        }
    }
}

/// Whatever the database fails with, and at whichever step.
#[tokio::test(start_paused = true)]
async fn a_database_that_fails_at_any_step_makes_no_error_deny_a_customer() {
    let mut failed = 0;
    for error in errors_of_the_database() {
        for (state, view, _) in states() {
            for step in 0.. {
                let world = world(Policy::default());
                world.store.put(view.clone());
                world.store.data().fails = Some((step, error.clone()));
                let called = world.call().await;
                if world.store.data().calls <= step {
                    break;
                }
                let Err(told) = called else { continue };
                failed += 1;
                let row = world.tenant_or_none().and_then(|view| view.row);
                let pending = row.is_some_and(|row| {
                    matches!(row.state, State::Pending(_) | State::InDoubt { .. })
                });
                let may_exist = pending || !world.stripe.sent().is_empty();
                // The first two steps read the tenant. Input that is refused there was never looked
                // into.
                let refused = step < 2 && told.code() == "invalid_input";
                let says_so = told.may_have_created() || refused;
                assert!(says_so || !may_exist, "{state}, step {step}: {told}");
            }
        }
    }
    assert!(failed > 100, "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_customer_that_the_hosts_table_refuses_is_named_and_bound_later() {
    let world = world(Policy::default());
    let refused = StoreError::Refused("CHECK x of public.tenant_config".into());
    // The reads of the call, its account, and the opening commit come first.
    world.store.data().fails = Some((4, refused));
    let told = world.call().await.expect_err("it is refused");
    assert_eq!(told.cause(), "write_refused");
    assert!(told.may_have_created());
    for words in ["public.tenant_config", "CHECK x", "cus_new1", "waits to be bound"] {
        assert!(told.to_string().contains(words), "{told}");
    }
    assert!(world.call().await.is_ok());
}

async fn made_anew(change: impl FnOnce(&World)) {
    let world = world(Policy::default());
    assert_eq!(world.call().await, created("cus_new1"));
    change(&world);
    world.store.put(View { account: None, ..view(At::NoRow) });
    assert_eq!(world.call().await, created("cus_new2"));
}

/// Our tables were dropped and made again under a living process.
#[tokio::test(start_paused = true)]
async fn a_database_made_anew_gives_its_new_id_to_what_is_created() {
    made_anew(|world| {
        world.store.data().installation = Some(anew());
    })
    .await;
    let world = world(Policy::default());
    assert_eq!(world.call().await, created("cus_new1"));
    world.store.data().installation = Some(anew());
    world.store.put(view(At::NoRow));
    assert_eq!(world.call().await, created("cus_new2"));
    let sent = world.stripe.sent();
    let last = sent.last().expect("a creation").key.clone();
    assert!(last.as_str().contains("/made-anew/"), "{last}");
    // It is found out once, and not for every tenant.
    assert_eq!(world.stripe.asked(), ["account", "account"]);
}

/// The same while a call is waiting to try again.
#[tokio::test(start_paused = true)]
async fn a_database_made_anew_is_recognized_in_the_middle_of_a_call() {
    let world = world(Policy::default());
    world.stripe.answer([response(500, &[("Retry-After", "2")], API)]);
    let anew = async {
        world.sent(1).await;
        world.store.data().installation = Some(anew());
        world.store.put(view(At::NoRow));
    };
    let (called, ()) = tokio::join!(world.call(), anew);
    assert_eq!(called, created("cus_new2"));
    let sent = world.stripe.sent();
    assert!(sent[1].key.as_str().contains("/made-anew/"), "{}", sent[1].key);
    assert_eq!(world.stripe.asked(), ["account", "account"]);
}

/// The same while Stripe is asked about a Customer, after which nothing is written.
#[tokio::test(start_paused = true)]
async fn a_database_made_anew_is_recognized_after_a_retrieve() {
    let world = world(Policy::default());
    world.store.put(view(At::Provisioned).nulled());
    let busy = response(503, &[("Retry-After", "2")], API);
    let alive = response(200, &[], r#"{"id":"cus_cid","object":"customer"}"#);
    world.stripe.says("customer cus_cid", [busy, alive]);
    let remake = async {
        world.clock.sleep(seconds(1)).await;
        world.store.data().installation = Some(anew());
        world.store.put(view(At::NoRow));
    };
    let (called, ()) = tokio::join!(world.call(), remake);
    assert_eq!(called, created("cus_new1"));
    let key = world.stripe.sent()[0].key.clone();
    assert!(key.as_str().contains("/made-anew/"), "{key}");
}

/// The new tables know nothing of what the lost ones had sent.
#[tokio::test(start_paused = true)]
async fn new_tables_prove_nothing_to_a_call_that_has_used_the_lost_ones() {
    let world = world(Policy::default());
    world.stripe.answer([response(500, &[("Retry-After", "2")], API)]);
    let account = response(200, &[], r#"{"id":"acct_ours","object":"account"}"#);
    world.stripe.says("account", [account, response(401, &[], API)]);
    let anew = async {
        world.sent(1).await;
        world.store.data().installation = Some(anew());
        world.store.put(view(At::NoRow));
    };
    let (called, ()) = tokio::join!(world.call(), anew);
    let told = called.expect_err("the key is revoked");
    assert_eq!(told.cause(), "bad_key");
    assert!(told.may_have_created());
}

/// A webhook for a key of another installation, whose tenants' ids have another form than ours.
#[tokio::test(start_paused = true)]
async fn a_webhook_for_another_installation_need_not_fit_this_database() {
    let ours = crate::scene::request(G).key.to_string();
    let theirs = ours.replace(crate::scene::INSTALLATION, "made-anew");
    assert_ne!(ours, theirs);
    for (key, accepted) in [(theirs, true), (ours, false)] {
        let world = world(Policy::default());
        let invalid = StoreError::Invalid(Invalid::new("tenant_id", "is not a UUID"));
        // The account is recorded first.
        world.store.data().fails = Some((1, invalid));
        let taken = world.billing.customer_created(&key, &crate::scene::cus("cus_1")).await;
        assert_eq!(taken.is_ok(), accepted, "{key}: {taken:?}");
    }
}

/// The first call of all reads the tenant before any account is on record. That is no sign of a
/// loss, also when another process is faster with the bind.
#[tokio::test(start_paused = true)]
async fn a_view_from_before_the_account_was_recorded_is_no_sign_of_new_tables() {
    let world = world(Policy::default());
    world.store.put(View { account: None, ..view(At::NoRow) });
    world.store.plan_commits([Commit::Succeeds, Commit::KeepsNothing]);
    assert_eq!(world.call().await, created("cus_new1"));
    assert_eq!(world.stripe.asked(), ["account"]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_no_longer_on_record_is_recorded_again() {
    made_anew(|_| {}).await;
}

fn anew() -> InstallationId {
    InstallationId::parse("made-anew").expect("an installation id")
}

#[tokio::test(start_paused = true)]
async fn an_absurd_wait_is_capped() {
    for asked in ["18446744073709551615", "99999999999999999999999999", "601"] {
        let world = world(Policy::default());
        world.stripe.answer([response(429, &[("Retry-After", asked)], API)]);
        let told = world.call().await.expect_err("it takes too long");
        assert_eq!(told.retry_after(), Some(seconds(600)), "{asked}");
    }
}

/// Nobody takes the tenant up before recovery does, so the caller is not told to hurry.
#[tokio::test(start_paused = true)]
async fn a_caller_without_an_answer_is_told_when_recovery_takes_over() {
    let silent = world(Policy::default());
    silent.stripe.takes(seconds(25));
    let told = silent.call_within(seconds(6)).await.expect_err("Stripe is silent");
    let due = silent.tenant().row.expect("a row").next_attempt_at;
    let after = told.retry_after().expect("a time");
    assert_eq!(
        now() + jiff::SignedDuration::from_secs(6) + jiff::SignedDuration::try_from(after).unwrap(),
        due
    );

    let down = world(Policy::default());
    down.stripe.answer(std::iter::repeat_n(response(500, &[], API), 100));
    let told = down.call_within(seconds(6)).await.expect_err("Stripe is down");
    let after = told.retry_after().expect("a time");
    assert!(after >= seconds(5) && after <= seconds(11), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_created_nothing() {
    let world = world(Policy::default());
    world.stripe.answer([response(400, &[], crate::answers::BAD_EMAIL)]);
    let told = world.call().await.expect_err("it is refused");
    assert!(matches!(told.problem(), Problem::Rejected(_)) && !told.may_have_created(), "{told}");
    let again = world.call().await.map_err(Error::into_problem);
    assert_eq!(again.as_ref().err(), Some(told.problem()));
}

/// Another process, with a key that works, begins while this one's key is looked into.
#[tokio::test(start_paused = true)]
async fn a_proof_that_has_grown_old_is_looked_for_again() {
    let world = world(Policy::default());
    let busy = response(503, &[("Retry-After", "5")], API);
    world.stripe.says("account", [busy, response(401, &[], API)]);
    let meanwhile = async {
        world.clock.sleep(seconds(3)).await;
        world.store.put(view(At::Pending));
    };
    let (told, ()) = tokio::join!(world.call(), meanwhile);
    let told = told.expect_err("the key is revoked");
    assert_eq!(told.cause(), "bad_key");
    assert!(told.may_have_created());
}

/// Found by simulation: the work began when there was no row, and fails before it reads again.
#[tokio::test(start_paused = true)]
async fn a_caller_who_has_read_more_than_the_work_that_it_joins_is_not_told_less() {
    let world = world(Policy::default());
    world.store.data().slow = seconds(1);
    world.store.put(View { account: None, ..unbound(None) });
    // The two reads of each call, the first one's of who we are, and then the account cannot be
    // recorded.
    world.store.data().fails = Some((5, StoreError::Refused("CHECK x of stripe_account".into())));
    let busy = response(503, &[("Retry-After", "5")], API);
    let account = response(200, &[], r#"{"id":"acct_ours","object":"account"}"#);
    world.stripe.says("account", [busy, account]);
    let later = async {
        world.clock.sleep(seconds(3)).await;
        world.store.put(view(At::Pending));
        world.call_within(seconds(60)).await
    };
    let (first, second) = tokio::join!(world.call_within(seconds(60)), later);
    assert!(first.expect_err("it is refused").may_have_created());
    assert!(second.expect_err("it joined").may_have_created());
}
