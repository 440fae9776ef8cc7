//! What a caller may ask for, and how it is frozen and read back.

use tenant_billing_core::{
    ids::{AccountId, Email, IdempotencyKey, Mode},
    request::{CustomerDetails, FrozenRequest},
};

use crate::{
    ids::{parsed, parts},
    scene::{DETAILS, EMAIL, INSTALLATION, TENANT, context, request, tenant},
};

pub(crate) fn plain() -> CustomerDetails {
    CustomerDetails::new(Email::parse(EMAIL).expect("an address"))
}

#[test]
fn a_name_has_1_to_256_characters() {
    let (longest, over) = ("ß".repeat(256), "ß".repeat(257));
    parsed(
        |name| plain().with_name(name),
        "name",
        &[
            ("", false),
            ("J", true),
            ("李 Jane ", true),
            (&longest, true),
            (&over, false),
            ("a\nb", false),
            ("a\u{85}", false),
        ],
    );
}

#[test]
fn metadata_keeps_to_stripes_limits() {
    let (key, key_over) = ("ß".repeat(40), "ß".repeat(41));
    parsed(
        |key| plain().with_metadata(key, "v"),
        "metadata",
        &[
            ("", false),
            ("k", true),
            (&key, true),
            (&key_over, false),
            ("a[b", false),
            ("a]b", false),
            ("a\tb", false),
            ("a.b c", true),
            ("tenantid", true),
        ],
    );
    let (value, value_over) = ("ß".repeat(500), "ß".repeat(501));
    parsed(
        |value| plain().with_metadata("k", value),
        "metadata[k]",
        &[("", false), ("v", true), (&value, true), (&value_over, false), ("a\nb", true)],
    );
    parsed(|_| plain().with_metadata("tenantId", "v"), "metadata[tenantId]", &[("", false)]);
    parsed(
        |_| plain().with_metadata("tenantBillingInstallation", "v"),
        "metadata[tenantBillingInstallation]",
        &[("", false)],
    );
    parsed(
        |_| plain().with_metadata("k", "v")?.with_metadata("k", "w"),
        "metadata[k]",
        &[("", false)],
    );
}

#[test]
fn metadata_leaves_room_for_our_own_two_keys() {
    let with = |keys: usize| {
        (0..keys).try_fold(plain(), |it, key| it.with_metadata(&format!("k{key}"), "v"))
    };
    assert!(with(48).is_ok());
    assert_eq!(with(49).map_err(|it| it.field), Err("metadata".into()));
    let full =
        FrozenRequest::freeze(&context().identity, &tenant(), 1, &with(48).expect("48 keys"));
    assert_eq!(full.body.matches("metadata%5B").count(), 50);
}

#[test]
fn a_request_is_frozen_with_the_tenant_and_the_installation() {
    let request = request(5);
    let pairs: Vec<_> = form_pairs(&request.body);
    let expected = [
        ("email", EMAIL),
        ("name", "Jane Q. Doe"),
        ("metadata[plan]", "gold"),
        ("metadata[tenantId]", TENANT),
        ("metadata[tenantBillingInstallation]", INSTALLATION),
    ];
    assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(request.key, IdempotencyKey::of(&parts(INSTALLATION, Mode::Live, TENANT, 5)));
    assert_eq!((request.account, request.stripe_account), (context().identity.account, None));
    assert_eq!(request.stripe_version, "2026-10-28.endive");
}

fn form_pairs(body: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

#[test]
fn a_connected_account_is_frozen_too() {
    let mut identity = context().identity;
    identity.stripe_account = AccountId::parse("acct_connected").ok();
    let frozen = FrozenRequest::freeze(&identity, &tenant(), 1, &DETAILS);
    assert_eq!(frozen.stripe_account, identity.stripe_account);
}

#[test]
fn what_was_frozen_can_be_asked_again() {
    let odd = plain()
        .with_name("Ann & Bob = 100% + ;/?#[]@")
        .and_then(|it| it.with_metadata("a key&=+", "line\nbreak & more=7+%40"))
        .and_then(|it| it.with_metadata("name", "not the name"))
        .and_then(|it| it.with_metadata("email", "not the email"))
        .expect("within the limits");
    let nothing = CustomerDetails::without_email();
    let only_a_name = nothing.clone().with_name("Ann").expect("a name");
    for details in [plain(), DETAILS.clone(), odd, nothing, only_a_name] {
        let frozen = FrozenRequest::freeze(&context().identity, &tenant(), 1, &details);
        assert_eq!(frozen.details(), Ok(details.clone()));
        assert_eq!(FrozenRequest::freeze(&context().identity, &tenant(), 1, &details), frozen);
        assert_eq!(frozen.has_email(), details.email().is_some());
    }
}

#[test]
fn a_body_that_was_never_frozen_cannot_be_read_back() {
    for body in [
        "",
        "name=x",
        "email=a%40b",
        "email=&metadata%5BtenantId%5D=t",
        "email=nobody&metadata%5BtenantId%5D=t",
        "email=a%40b&metadata%5BtenantId%5D=t&name=",
        "email=a%40b&metadata%5BtenantId%5D=t&metadata%5Ba%5D=",
    ] {
        let mut request = request(1);
        request.body = body.into();
        assert!(request.details().is_err(), "{body}");
    }
    let body = "email=a%40b&metadata%5BtenantId%5D=t".into();
    assert!(FrozenRequest { body, ..request(1) }.details().is_ok());
}

#[test]
fn a_request_holds_the_fields_that_it_was_frozen_with() {
    let plain = FrozenRequest::freeze(&context().identity, &tenant(), 1, &plain());
    let table = [
        ("email", true, true),
        ("name", true, false),
        ("metadata", true, true),
        ("metadata[plan]", true, true),
        ("phone", false, false),
        ("", false, false),
        ("[email]", false, false),
        ("Email", false, false),
        ("email2", false, false),
        ("gold", false, false),
    ];
    for (param, full, bare) in table {
        assert_eq!((request(1).holds(param), plain.holds(param)), (full, bare), "{param}");
    }
}
