//! Customers are deleted, unbound by an operator, or retrieved because the column lost them.

use tenant_billing_core::provisioning::Observation;

use super::{Happening, Scenario, observed, provisioned_with_x, scenario};
use crate::scene::{At, But, CID, HOST, X, cus};

fn deleted(name: &'static str) -> Scenario {
    scenario(name, "a webhook or a retrieve", Happening::Deleted(cus(X)))
        .cause("its Customer is deleted")
}

fn unbound(name: &'static str) -> Scenario {
    scenario(name, "an operator", Happening::Unbound(cus(X)))
        .cause("an operator unbinds its Customer")
}

fn exists(name: &'static str, customer: &str) -> Scenario {
    observed(name, "a retrieve", Observation::StillExists(cus(customer)))
        .cause("its Customer is bound again")
}

pub(super) fn scenarios() -> Vec<Scenario> {
    const CLEARED: &str = "clear cus_x [cleared]";
    const OFF: &str = "clear cus_x surplus cus_x unbound [cleared surplus]";
    vec![
        deleted("`cus_x` is deleted, which is not bound here").cells(["–"; 6]),
        deleted("`cus_x` is deleted, and the column is null").but(But::nulled).cells(["–"; 6]),
        deleted("`cus_x` is deleted, and the column holds it")
            .but(|view| view.bound_to(X))
            .cells([CLEARED; 6]),
        deleted("`cus_x` is deleted, and the row is provisioned with it, and the column holds it")
            .but(|view| provisioned_with_x(view).bound_to(X))
            .only(At::Provisioned, "V4 clear cus_x [cleared vacated]"),
        deleted("`cus_x` is deleted, and the row is provisioned with it, and the column is null")
            .but(|view| provisioned_with_x(view).nulled())
            .only(At::Provisioned, "V4 [vacated]"),
        deleted("`cus_x` is deleted, and the row is provisioned with it, and the column holds another")
            .but(|view| provisioned_with_x(view).bound_to(HOST))
            .only(At::Provisioned, "V4 [vacated]"),
        unbound("An operator unbinds `cus_x`, which is not bound here")
            .cells(["–", "–", "retry", "retry", "–", "–"]),
        unbound("An operator unbinds `cus_x`, and the column holds it")
            .but(|view| view.bound_to(X))
            .cells([OFF, OFF, "retry", "retry", OFF, OFF]),
        unbound("An operator unbinds `cus_x`, and the row is provisioned with it, and the column holds it")
            .but(|view| provisioned_with_x(view).bound_to(X))
            .only(
                At::Provisioned,
                "V4 clear cus_x surplus cus_x unbound [cleared surplus vacated]",
            ),
        unbound("An operator unbinds `cus_x`, and the row is provisioned with it, and the column is null")
            .but(|view| provisioned_with_x(view).nulled())
            .only(At::Provisioned, "V4 surplus cus_x unbound [surplus vacated]"),
        unbound("An operator unbinds `cus_x`, and the row is provisioned with it, and the column holds another")
            .but(|view| provisioned_with_x(view).bound_to(HOST))
            .only(At::Provisioned, "V4 surplus cus_x unbound [surplus vacated]"),
        exists("A retrieve shows `cus_cid` alive, and the column is null", CID)
            .but(But::nulled)
            .only(At::Provisioned, "same bind cus_cid guarded [rebound]"),
        exists("A retrieve shows `cus_cid` alive, and the column holds it by now", CID)
            .only(At::Provisioned, "–"),
        exists("A retrieve shows `cus_x` alive, and the row is provisioned with another by now", X)
            .but(But::nulled)
            .only(At::Provisioned, "–"),
        exists("A retrieve shows `cus_cid` alive, and the tenant does not exist any more", CID)
            .but(But::gone)
            .only(At::Provisioned, "–"),
        exists("A retrieve shows `cus_cid` alive, and it is on record as deleted by now", CID)
            .cause("its Customer is deleted")
            .but(|view| view.nulled().deleted(CID))
            .only(At::Provisioned, "V4 [vacated]"),
        exists("A retrieve shows `cus_cid` alive, and another tenant's column holds it", CID)
            .but(|view| view.nulled().bound_elsewhere(CID))
            .only(At::Provisioned, "operator: cus_cid is another tenant's"),
    ]
}
