//! Whose a found Customer is: what an inquiry does with those that are not marked as ours.

use tenant_billing_core::{
    OperatorError, Policy, Unmarked,
    ids::{IdempotencyKey, MetadataKey, Mode},
    state::{State, View},
};

use super::{adopted, list, naming, page, put, search_by, tenant_in_doubt};
use crate::{
    fakes::{FakeStripe, World, created, world, world_with},
    ids::parts,
    scene::{INSTALLATION, TENANT, X, account, another, cus, in_doubt, now, row_in, unbound},
};

#[tokio::test(start_paused = true)]
async fn a_customer_of_another_installation_is_for_an_operator_in_live_mode_only() {
    let foreign = naming(X, 1, TENANT, Some("another-1"));
    let theirs = page(std::slice::from_ref(&foreign), "false");
    let live = tenant_in_doubt();
    live.stripe.shows(&list(), &theirs);
    live.stripe.shows("customer cus_x", &foreign);
    let told = live.call().await;
    let (customer, installation) = (cus(X), another());
    let error = OperatorError::ForeignCustomer { customer, installation };
    assert_eq!(told, Err(error.into()));
    assert!(live.stripe.sent().is_empty());

    // A Customer of ours beside it is bound.
    let both = [foreign.clone(), naming("cus_y", 2, TENANT, Some(INSTALLATION))];
    live.stripe.shows(&list(), &page(&both, "false"));
    live.stripe.shows("customer cus_y", &both[1]);
    live.store.put(unbound(Some(row_in(in_doubt(now(), true)))));
    assert_eq!(live.call().await, adopted("cus_y"));

    let mut stripe = FakeStripe::default();
    stripe.test_mode = true;
    let test = put(world_with(Policy::default(), stripe));
    let mut view = test.tenant();
    view.account = Some(account("acct_ours", Mode::Test));
    test.store.put(view);
    test.stripe.shows(&list(), &theirs);
    test.stripe.shows("customer cus_x", &foreign);
    assert_eq!(test.call().await, created("cus_new1"));
}

/// The operator must see all of them before he says whose they are.
#[tokio::test(start_paused = true)]
async fn all_unmarked_customers_are_named() {
    let world = put(world(unmarked(Unmarked::Stop)));
    let both = [naming(X, 1, TENANT, None), naming("cus_y", 2, TENANT, None)];
    world.stripe.shows(&list(), &page(&both, "false"));
    world.stripe.shows("customer cus_x", &both[0]);
    world.stripe.shows("customer cus_y", &both[1]);
    let named = OperatorError::UnmarkedCustomers(vec![cus(X), cus("cus_y")]);
    assert_eq!(world.call().await, Err(named.into()));
}

/// What we have made is what was billed.
#[tokio::test(start_paused = true)]
async fn one_of_ours_goes_before_an_older_unmarked_one() {
    let world = put(world(unmarked(Unmarked::Adopt)));
    let both = [naming(X, 1, TENANT, None), naming("cus_y", 2, TENANT, Some(INSTALLATION))];
    world.stripe.shows(&list(), &page(&both, "false"));
    world.stripe.shows("customer cus_x", &both[0]);
    world.stripe.shows("customer cus_y", &both[1]);
    assert_eq!(world.call().await, adopted("cus_y"));
    let surplus = world.store.data().surplus.clone();
    assert_eq!(surplus.iter().map(|it| &it.customer).collect::<Vec<_>>(), [&cus(X)]);
}

/// Somebody has edited its metadata since.
#[tokio::test(start_paused = true)]
async fn what_a_key_has_created_for_somebody_else_is_never_this_tenants() {
    let (customer, installation) = (cus(X), another());
    let foreign = OperatorError::ForeignCustomer { customer, installation };
    for (key, told) in [
        (parts(INSTALLATION, Mode::Live, "another", 1), created("cus_new1")),
        (parts("another-1", Mode::Live, "another", 1), created("cus_new1")),
        (parts("another-1", Mode::Live, TENANT, 1), Err(foreign.into())),
    ] {
        for mark in [None, Some(INSTALLATION), Some("another-1")] {
            let world = put(world(unmarked(Unmarked::Adopt)));
            let edited = naming(X, 1, TENANT, mark);
            let key = IdempotencyKey::of(&key);
            world.stripe.event(key.as_str(), X);
            world.stripe.shows(&list(), &page(std::slice::from_ref(&edited), "false"));
            world.stripe.shows("customer cus_x", &edited);
            assert_eq!(world.call().await, told, "{key} {mark:?}");
        }
    }
}

/// An operator has said that it is another application, so each of them has its own.
#[tokio::test(start_paused = true)]
async fn a_customer_of_another_application_is_passed_over() {
    let world = tenant_in_doubt();
    let foreign = naming(X, 1, TENANT, Some("another-1"));
    world.stripe.shows(&list(), &page(std::slice::from_ref(&foreign), "false"));
    world.stripe.shows("customer cus_x", &foreign);
    world.store.data().ignored.push(another());
    assert_eq!(world.call().await, created("cus_new1"));
}

/// A world in which the list shows [`X`], an unmarked Customer that names the tenant.
fn with_unmarked(policy: Policy, named: &str) -> World {
    let world = put(world(policy));
    let unmarked = naming(X, 1, named, None);
    world.stripe.shows(&list(), &page(std::slice::from_ref(&unmarked), "false"));
    world.stripe.shows("customer cus_x", &unmarked);
    world
}

fn unmarked(unmarked: Unmarked) -> Policy {
    Policy { unmarked: Some(unmarked), ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn an_unmarked_customer_is_what_the_policy_says() {
    let spelled = &TENANT.to_uppercase();
    for named in [TENANT, spelled] {
        let by_default = with_unmarked(Policy::default(), named);
        assert_eq!(by_default.call().await, adopted(X));
        let ignored = with_unmarked(unmarked(Unmarked::Ignore), named);
        assert_eq!(ignored.call().await, created("cus_new1"));
        let stopped = with_unmarked(unmarked(Unmarked::Stop), named);
        let told = stopped.call().await;
        assert_eq!(told, Err(OperatorError::UnmarkedCustomers(vec![cus(X)]).into()));
        assert!(stopped.stripe.sent().is_empty());
        let View { row, bound, .. } = stopped.tenant();
        assert!(matches!(row.map(|row| row.state), Some(State::InDoubt { .. })));
        assert_eq!(bound, None);
    }
    // In a text column, the other spelling may be another tenant.
    let world = with_unmarked(Policy::default(), spelled);
    world.store.put(View { uuid_keys: false, ..world.tenant() });
    assert_eq!(world.call().await, Err(OperatorError::UnmarkedCustomers(vec![cus(X)]).into()));
}

#[tokio::test(start_paused = true)]
async fn one_of_ours_beside_an_unmarked_customer_is_bound() {
    let world = put(world(unmarked(Unmarked::Stop)));
    let both = [naming(X, 1, TENANT, None), naming("cus_y", 2, TENANT, Some(INSTALLATION))];
    world.stripe.shows(&list(), &page(&both, "false"));
    world.stripe.shows("customer cus_x", &both[0]);
    world.stripe.shows("customer cus_y", &both[1]);
    assert_eq!(world.call().await, adopted("cus_y"));
    assert!(world.store.data().surplus.is_empty(), "what is not ours is not surplus");
}

#[tokio::test(start_paused = true)]
async fn other_softwares_metadata_keys_name_the_tenant_too() {
    let tenant_metadata_keys = vec![MetadataKey::parse("userId").expect("a key")];
    let policy = Policy { tenant_metadata_keys, ..Policy::default() };
    let users = naming(X, 1, TENANT, None).replace("tenantId", "userId");
    for source in [list(), search_by("userId")] {
        let known = put(world(policy.clone()));
        let unknown = tenant_in_doubt();
        for world in [&known, &unknown] {
            world.stripe.shows(&source, &page(std::slice::from_ref(&users), "false"));
            world.stripe.shows("customer cus_x", &users);
        }
        assert_eq!(known.call().await, adopted(X), "{source}");
        assert_eq!(unknown.call().await, created("cus_new1"), "{source}");
    }
}
