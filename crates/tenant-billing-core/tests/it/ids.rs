//! What comes in from outside: what is taken, what is refused, and what no log ever shows.

use std::collections::BTreeSet;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use tenant_billing_core::{
    answer::{
        Answer, Customer, Headers, account_id, created_events, customers, describe, judge, read,
        request_id,
    },
    ids::{
        AccountId, CustomerId, Email, IdempotencyKey, InstallationId, Invalid, KeyParts, Mode,
        TenantId,
    },
    request::{CustomerDetails, FrozenRequest},
    state::State,
};

use crate::scene::{DETAILS, EMAIL, INSTALLATION, customer, refusal, request, site, tenant};

fn parsed<T>(parse: fn(&str) -> Result<T, Invalid>, field: &str, table: &[(&str, bool)]) {
    for (text, taken) in table {
        match parse(text) {
            Ok(_) => assert!(taken, "{text:?} was taken"),
            Err(invalid) => {
                assert!(!taken, "{text:?} was refused: {invalid}");
                assert_eq!(invalid.field, field);
                let repeats = text.len() > 8 && invalid.to_string().contains(text);
                assert!(!repeats, "{invalid}");
            }
        }
    }
}

#[test]
fn a_tenant_id_is_1_to_128_visible_ascii_characters() {
    let (longest, over) = ("t".repeat(128), "t".repeat(129));
    parsed(
        TenantId::parse,
        "tenant_id",
        &[
            ("", false),
            ("t", true),
            (&longest, true),
            (&over, false),
            ("6f9619ff-8b86-4d01-b42d-00c04fc964ff", true),
            ("org/7/eu", true),
            ("~!\"'\\[]%", true),
            ("a b", false),
            (" a", false),
            ("a\t", false),
            ("a\n", false),
            ("a\0", false),
            ("a\x7f", false),
            ("ä", false),
            ("１", false),
        ],
    );
}

#[test]
fn a_customer_id_begins_with_a_letter_or_digit() {
    let (longest, over) = ("c".repeat(255), "c".repeat(256));
    parsed(
        CustomerId::parse,
        "stripe_customer_id",
        &[
            ("", false),
            ("cus_NffrFeUfNV2Hib", true),
            ("cus_", true),
            ("7", true),
            ("old.customer-7@x", true),
            (&longest, true),
            (&over, false),
            ("/etc", false),
            ("..", false),
            ("_x", false),
            ("-x", false),
            ("cus 1", false),
            ("cüs", false),
            ("cus_\n", false),
        ],
    );
}

#[test]
fn an_account_id_is_acct_and_a_word() {
    let (longest, over) = (format!("acct_{}", "x".repeat(59)), format!("acct_{}", "x".repeat(60)));
    parsed(
        AccountId::parse,
        "stripe_account",
        &[
            ("", false),
            ("acct_1032D82eZvKYlo2C", true),
            ("acct_a_b", true),
            ("acct_", false),
            ("ACCT_1", false),
            ("cus_1", false),
            (&longest, true),
            (&over, false),
            ("acct_1/..", false),
            ("acct_1-2", false),
            ("acct_ä", false),
        ],
    );
}

#[test]
fn an_installation_id_is_8_to_64_letters_digits_and_hyphens() {
    let (longest, over) = ("i".repeat(64), "i".repeat(65));
    parsed(
        InstallationId::parse,
        "installation",
        &[
            ("", false),
            ("1234567", false),
            ("12345678", true),
            (&longest, true),
            (&over, false),
            ("0190-abcd", true),
            ("with/slash", false),
            ("under_score", false),
            ("with space", false),
            ("ïnstallation", false),
        ],
    );
}

#[test]
fn a_mode_is_test_or_live() {
    parsed(
        Mode::parse,
        "mode",
        &[("test", true), ("live", true), ("", false), ("Live", false), (" test", false)],
    );
    for mode in [Mode::Test, Mode::Live] {
        assert_eq!(Mode::parse(mode.as_str()), Ok(mode));
    }
}

#[test]
fn an_email_address_is_left_to_stripe_to_judge() {
    let at = |local: usize| format!("{}@x.com", "é".repeat(local));
    let (longest, over) = (at(506), at(507));
    parsed(
        Email::parse,
        "email",
        &[
            (EMAIL, true),
            ("a@b", true),
            ("a@com", true),
            ("josé@exämple.com", true),
            ("a b@c.d", true),
            ("\"<>\"@c.d", true),
            (&longest, true),
            (&over, false),
            ("", false),
            ("@", false),
            ("a@", false),
            ("@b", false),
            ("ab", false),
            ("a@b@c", false),
            ("a＠b.com", false),
            (" a@b.c", false),
            ("a@b.c ", false),
            ("a@b.c\u{a0}", false),
            ("a@b.c\n", false),
            ("a\0@b.c", false),
        ],
    );
}

#[test]
fn an_idempotency_key_has_at_most_255_visible_ascii_characters() {
    let (longest, over) = ("k".repeat(255), "k".repeat(256));
    parsed(
        IdempotencyKey::parse,
        "idempotency_key",
        &[("", false), ("k", true), (&longest, true), (&over, false), ("a b", false), ("ä", false)],
    );
}

fn parts(installation: &str, mode: Mode, tenant: &str, generation: u64) -> KeyParts {
    KeyParts {
        installation: InstallationId::parse(installation).expect("an installation id"),
        mode,
        tenant: TenantId::parse(tenant).expect("a tenant id"),
        generation,
    }
}

#[test]
fn a_key_of_ours_says_what_it_is_for() {
    let table = [
        (parts(INSTALLATION, Mode::Live, "t", 1), "tenant-billing/0123456789abcdef/live/t/1"),
        (
            parts(INSTALLATION, Mode::Test, "org/7/eu", 12),
            "tenant-billing/0123456789abcdef/test/org/7/eu/12",
        ),
        (parts(INSTALLATION, Mode::Test, "/", 0), "tenant-billing/0123456789abcdef/test///0"),
        (
            parts(INSTALLATION, Mode::Live, "t/live/u/9", 3),
            "tenant-billing/0123456789abcdef/live/t/live/u/9/3",
        ),
        (
            parts("0190-abcd", Mode::Test, "a@b.c", u64::MAX),
            "tenant-billing/0190-abcd/test/a@b.c/18446744073709551615",
        ),
    ];
    for (parts, text) in table {
        let key = IdempotencyKey::of(&parts);
        assert_eq!(key.as_str(), text);
        assert_eq!(IdempotencyKey::parse(text).map(|it| it.parts()), Ok(Some(parts)));
    }
}

#[test]
fn the_longest_key_is_one_that_stripe_takes() {
    let longest = parts(&"i".repeat(64), Mode::Live, &"t".repeat(128), u64::MAX);
    let key = IdempotencyKey::of(&longest);
    assert!(key.as_str().len() <= 255, "{}", key.as_str().len());
    assert_eq!(IdempotencyKey::parse(key.as_str()), Ok(key.clone()));
    assert_eq!(key.parts(), Some(longest));
}

#[test]
fn different_parts_never_share_a_key() {
    let mut keys = BTreeSet::new();
    for installation in ["12345678", "12345678-"] {
        for mode in [Mode::Test, Mode::Live] {
            for tenant in ["t", "t/1", "1", "live/t", "t/", "/t"] {
                for generation in [1, 11, 111] {
                    let key = IdempotencyKey::of(&parts(installation, mode, tenant, generation));
                    assert!(keys.insert(key.clone()), "{key}");
                }
            }
        }
    }
    assert_eq!(keys.len(), 72);
}

#[test]
fn a_foreign_key_is_not_taken_for_ours() {
    let foreign = [
        "order-1",
        "tenant-billing",
        "tenant-billing/",
        "tenant-billing/12345678/live/t",
        "tenant-billing/12345678/live/t/",
        "tenant-billing/12345678/live//1",
        "tenant-billing/1/live/t/1",
        "tenant-billing/12345678/prod/t/1",
        "tenant-billing/12345678/live/t/01",
        "tenant-billing/12345678/live/t/+1",
        "tenant-billing/12345678/live/t/-1",
        "tenant-billing/12345678/live/t/18446744073709551616",
        "Tenant-billing/12345678/live/t/1",
        "xtenant-billing/12345678/live/t/1",
        "tenant-billing//live/t/1",
    ];
    for text in foreign {
        assert_eq!(IdempotencyKey::parse(text).map(|it| it.parts()), Ok(None), "{text}");
    }
}

fn plain() -> CustomerDetails {
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
    let full = FrozenRequest::freeze(&site().origin, &tenant(), 1, &with(48).expect("48 keys"));
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
        ("metadata[tenantId]", crate::scene::TENANT),
        ("metadata[tenantBillingInstallation]", INSTALLATION),
    ];
    assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(
        request.key,
        IdempotencyKey::of(&parts(INSTALLATION, Mode::Live, crate::scene::TENANT, 5))
    );
    assert_eq!((request.account, request.stripe_account), (site().origin.account, None));
    assert_eq!(request.stripe_version, "2026-10-28.endive");
}

fn form_pairs(body: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

#[test]
fn a_connected_account_is_frozen_too() {
    let mut origin = site().origin;
    origin.stripe_account = AccountId::parse("acct_connected").ok();
    let frozen = FrozenRequest::freeze(&origin, &tenant(), 1, &DETAILS);
    assert_eq!(frozen.stripe_account, origin.stripe_account);
}

#[test]
fn what_was_frozen_can_be_asked_again() {
    let odd = plain()
        .with_name("Ann & Bob = 100% + ;/?#[]@")
        .and_then(|it| it.with_metadata("a key&=+", "line\nbreak & more=7+%40"))
        .and_then(|it| it.with_metadata("name", "not the name"))
        .and_then(|it| it.with_metadata("email", "not the email"))
        .expect("within the limits");
    for details in [plain(), DETAILS.clone(), odd] {
        let frozen = FrozenRequest::freeze(&site().origin, &tenant(), 1, &details);
        assert_eq!(frozen.details(), Ok(details.clone()));
        assert_eq!(FrozenRequest::freeze(&site().origin, &tenant(), 1, &details), frozen);
    }
}

#[test]
fn what_nobody_froze_cannot_be_read_back() {
    for body in [
        "",
        "name=x",
        "email=",
        "email=nobody",
        "email=a%40b&name=",
        "email=a%40b&metadata%5Ba%5D=",
    ] {
        let mut request = request(1);
        request.body = body.into();
        assert!(request.details().is_err(), "{body}");
    }
}

#[test]
fn a_request_holds_the_fields_that_it_was_frozen_with() {
    let plain = FrozenRequest::freeze(&site().origin, &tenant(), 1, &plain());
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

#[test]
fn debug_output_shows_nobody() {
    let key = request(1).key.to_string();
    let shown = [
        format!("{:?}", DETAILS.email()),
        format!("{:#?}", *DETAILS),
        format!("{:?}", request(1)),
        format!("{:?}", State::Pending(request(1))),
        format!("{:?}", State::Rejected(request(1), refusal())),
        format!("{:?}", customer("cus_1", 7)),
        format!("{:?}", crate::scene::live(1, "cus_1")),
        format!("{:?}", crate::scene::looked(crate::scene::found(&["cus_1"]))),
        format!("{:?}", crate::scene::caller(&DETAILS)),
        format!("{:?}", crate::scene::view(crate::scene::At::Suspect)),
    ];
    for text in shown {
        crate::summary::nameless(&text);
        assert!(!text.contains("gold") && !text.contains("example"), "{text}");
    }
    assert!(format!("{:?}", request(1)).contains(&key), "a log needs the key");
}

// `PROPTEST_CASES` sets how many; 256 by default.
proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        for id in [
            TenantId::parse(&text).map(|it| it.to_string()),
            CustomerId::parse(&text).map(|it| it.to_string()),
            AccountId::parse(&text).map(|it| it.to_string()),
            InstallationId::parse(&text).map(|it| it.to_string()),
            IdempotencyKey::parse(&text).map(|it| it.to_string()),
            Email::parse(&text).map(|it| it.as_str().to_owned()),
        ].into_iter().flatten() {
            prop_assert_eq!(&id, &text);
        }
        let _ = plain().with_name(&text).is_ok();
        let _ = plain().with_metadata(&text, &text).is_ok();
        let _ = request(1).holds(&text);
        let _ = FrozenRequest { body: text, ..request(1) }.details().is_ok();
    }

    #[test]
    fn a_key_read_is_the_key_written(text in "(tenant-billing/)?[!-~]{1,30}(/(live|test)/[!-~]{1,20}/[0-9]{1,21})?") {
        let key = IdempotencyKey::parse(&text).expect("visible ASCII");
        if let Some(parts) = key.parts() {
            prop_assert_eq!(IdempotencyKey::of(&parts), key);
        }
    }

    #[test]
    fn a_key_written_is_read_back(installation in "[a-zA-Z0-9-]{8,64}", live in any::<bool>(), tenant in "[!-~]{1,128}", generation in any::<u64>()) {
        let mode = if live { Mode::Live } else { Mode::Test };
        let parts = parts(&installation, mode, &tenant, generation);
        let key = IdempotencyKey::of(&parts);
        prop_assert!(key.as_str().len() <= 255);
        prop_assert_eq!(IdempotencyKey::parse(key.as_str()).map(|it| it.parts()), Ok(Some(parts)));
    }

    #[test]
    fn whatever_is_frozen_is_read_back(local in "[^@\\p{C}\\s]{1,40}", domain in "[^@\\p{C}\\s]{1,40}", name in "\\PC{1,100}", key in "[^\\[\\]\\p{C}]{1,40}", value in any::<String>()) {
        let details = CustomerDetails::new(Email::parse(&format!("{local}@{domain}")).expect("an address"));
        let details = details.with_name(&name).expect("a name");
        let details = details.clone().with_metadata(&key, &value).unwrap_or(details);
        let frozen = FrozenRequest::freeze(&site().origin, &tenant(), 1, &details);
        prop_assert!(frozen.body.is_ascii());
        prop_assert_eq!(frozen.details(), Ok(details));
    }

    #[test]
    fn no_bytes_make_a_reader_of_answers_panic(status in any::<u16>(), body in any::<Vec<u8>>(), header in any::<String>()) {
        answered(status, &header, &body);
    }

    #[test]
    fn no_json_makes_a_reader_of_answers_panic(status in any::<u16>(), id in "\\PC{0,20}", value in "(\\{\\}|\\[\\]|null|-?[0-9]{1,30}|\"[a-z_@]{0,20}\"|true)", field in "(id|object|created|email|metadata|deleted|data|has_more|error|request|next_page)") {
        let id = id.replace(['\\', '"'], "");
        for body in [
            format!(r#"{{"id":"{id}","{field}":{value}}}"#),
            format!(r#"{{"data":[{{"id":"{id}","{field}":{value}}}],"has_more":{value}}}"#),
            format!(r#"{{"error":{{"type":{value},"code":"{id}","param":{value},"message":"{id}"}}}}"#),
        ] {
            answered(status, &id, body.as_bytes());
        }
    }
}

fn answered(status: u16, header: &str, body: &[u8]) {
    let headers: Headers = ["Retry-After", "Original-Request", "Stripe-Should-Retry"]
        .into_iter()
        .map(|it| (it, header))
        .collect();
    let answer = Answer::Response { status, headers, body: bytes::Bytes::copy_from_slice(body) };
    let request = request(1);
    let created =
        matches!(judge(&answer, &request), tenant_billing_core::answer::Verdict::Created { .. });
    assert!(!created || ((200..300).contains(&status) && account_id(body).is_some()));
    let _ = (describe(&answer), request_id(&answer).is_some());
    let _ =
        (read(&answer, Customer::parse), read(&answer, customers), read(&answer, created_events));
}
