//! The JSON of what is returned, and the constants that a host may rely on.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tenant_billing_core::{
    DEFAULT_DEADLINE, Details, Outcome, TenantCustomer,
    audit::{AuditEvent, EventKind, History, NewEvent, Surplus, SurplusReason},
    ids::{AccountId, CustomerId, IdempotencyKey, InstallationId, TenantId},
    ports::Backlog,
    timing::{
        CONCLUSIVE_AFTER_GIVING_UP, CONCLUSIVE_AFTER_MISMATCH, CONCLUSIVE_AFTER_STORED_FAILURE,
        CONCLUSIVE_AFTER_STORED_FAILURE_WITHOUT_EMAIL, CONCLUSIVE_AGE, EVENTS_BEFORE_OPENED,
        EVENTS_KEPT, IN_DOUBT_FROM, MAX_DECISION_AGE, SEND_UNTIL,
    },
};

use crate::scene::{INSTALLATION, TENANT, cus, hours, minutes, now, request, tenant};

fn json_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("JSON")
}

#[test]
fn an_id_is_its_text() {
    let account: AccountId = "acct_ours".parse().expect("an account id");
    let installation: InstallationId = INSTALLATION.parse().expect("an installation id");
    let key: IdempotencyKey = request(1).key;
    assert_eq!(json_of(&tenant()), json!(TENANT));
    assert_eq!(json_of(&cus("cus_x")), json!("cus_x"));
    assert_eq!(json_of(&account), json!("acct_ours"));
    assert_eq!(json_of(&installation), json!(INSTALLATION));
    assert_eq!(json_of(&key), json!(key.as_str()));
}

#[test]
fn a_tenants_customer() {
    let (tenant, customer) = (tenant(), cus("cus_x"));
    for (outcome, name, details, whose) in [
        (Outcome::Existing, "existing", None, Value::Null),
        (Outcome::Created, "created", Some(Details::AsGiven), json!("as_given")),
        (Outcome::Created, "created", Some(Details::OfAnEarlierCall), json!("of_an_earlier_call")),
        (Outcome::Adopted, "adopted", None, Value::Null),
    ] {
        let (tenant, customer) = (tenant.clone(), customer.clone());
        let json = json_of(&TenantCustomer { tenant, customer, outcome, details });
        let expected =
            json!({"tenant": TENANT, "customer": "cus_x", "outcome": name, "details": whose});
        assert_eq!(json, expected);
        assert_eq!(outcome.as_str(), name);
    }
}

#[test]
fn a_history() {
    let event = NewEvent {
        kind: EventKind::InDoubt,
        generation: 3,
        customer: Some(cus("cus_x")),
        request_id: Some("req_1".into()),
        detail: "why".into(),
    };
    let surplus = Surplus {
        customer: cus("cus_y"),
        reason: SurplusReason::HostBoundAnother,
        found_at: now(),
        resolved_at: None,
    };
    let history = History {
        tenant: tenant(),
        exists: true,
        bound: None,
        state: Some(("provisioned", Some(cus("cus_x")))),
        events: vec![AuditEvent { at: now(), event }],
        surplus: vec![surplus],
    };
    let at = "2026-11-20T12:00:00Z";
    let expected = json!({
        "tenant": TENANT,
        "exists": true,
        "bound": null,
        "state": ["provisioned", "cus_x"],
        "events": [{
            "at": at,
            "event": {
                "kind": "in_doubt",
                "generation": 3,
                "customer": "cus_x",
                "request_id": "req_1",
                "detail": "why",
            },
        }],
        "surplus": [{
            "customer": "cus_y",
            "reason": "host_bound_another",
            "found_at": at,
            "resolved_at": null,
        }],
    });
    assert_eq!(json_of(&history), expected);
}

#[test]
fn a_backlog() {
    let backlog = Backlog { rows: 2, next_due: Some(now()), now: now() };
    let at = "2026-11-20T12:00:00Z";
    assert_eq!(json_of(&backlog), json!({ "rows": 2, "next_due": at, "now": at }));
}

/// The JSON has the same names as the database.
#[test]
fn names_are_the_same_everywhere() {
    for kind in EventKind::ALL {
        assert_eq!(json_of(kind), json!(kind.as_str()));
    }
    for reason in SurplusReason::ALL {
        assert_eq!(json_of(reason), json!(reason.as_str()));
    }
}

#[test]
fn a_tenant_id_comes_from_a_uuid_too() {
    let uuid: uuid::Uuid = TENANT.parse().expect("a UUID");
    let from_uuid = TenantId::from(uuid);
    assert_eq!((from_uuid.clone(), from_uuid.as_ref()), (tenant(), TENANT));
    let customer: CustomerId = cus("cus_x");
    assert_eq!(AsRef::<str>::as_ref(&customer), "cus_x");
}

/// They are computed from the assumptions, and other texts name them as numbers.
#[test]
fn the_spans_of_time_are_the_documented_ones() {
    let table: [(SignedDuration, SignedDuration); 10] = [
        (SEND_UNTIL, hours(20)),
        (IN_DOUBT_FROM, hours(23)),
        (CONCLUSIVE_AGE, hours(25)),
        (CONCLUSIVE_AFTER_GIVING_UP, hours(5)),
        (CONCLUSIVE_AFTER_STORED_FAILURE, minutes(10)),
        (CONCLUSIVE_AFTER_STORED_FAILURE_WITHOUT_EMAIL, minutes(70)),
        (CONCLUSIVE_AFTER_MISMATCH, minutes(70)),
        (EVENTS_BEFORE_OPENED, hours(24)),
        (EVENTS_KEPT, hours(30 * 24)),
        (MAX_DECISION_AGE, minutes(1)),
    ];
    for (computed, documented) in table {
        assert_eq!(computed, documented);
    }
    assert_eq!(DEFAULT_DEADLINE.as_secs(), 10);
}
