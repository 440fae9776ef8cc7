//! The ids that come in from outside: what is taken and what is refused.

use std::collections::BTreeSet;

use tenant_billing_core::{
    audit::{EventKind, SurplusReason},
    ids::{
        self, AccountId, CustomerId, Email, IdempotencyKey, InstallationId, Invalid, KeyParts,
        Mode, TenantId,
    },
};

use crate::scene::{EMAIL, INSTALLATION};

pub(crate) fn parsed<T>(
    parse: fn(&str) -> Result<T, Invalid>,
    field: &str,
    table: &[(&str, bool)],
) {
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

pub(crate) fn parts(installation: &str, mode: Mode, tenant: &str, generation: u64) -> KeyParts {
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

#[test]
fn every_id_is_parsed_from_text_in_one_way() {
    assert_eq!("t".parse(), TenantId::parse("t"));
    assert_eq!("".parse(), TenantId::parse(""));
    assert_eq!(EMAIL.parse(), Email::parse(EMAIL));
    assert_eq!("nobody".parse(), Email::parse("nobody"));
}

#[test]
fn the_names_in_the_database_are_read_back() {
    for kind in EventKind::ALL {
        assert_eq!(EventKind::parse(kind.as_str()), Some(*kind));
        assert_eq!(format!("{kind:>12}"), format!("{:>12}", kind.as_str()), "a table is aligned");
    }
    for reason in SurplusReason::ALL {
        assert_eq!(SurplusReason::parse(reason.as_str()), Some(*reason));
    }
    assert_eq!((EventKind::parse("Opened"), SurplusReason::parse("")), (None, None));
}

/// As PostgreSQL 15 reads them.
#[test]
fn spellings_of_a_uuid() {
    let uuid = ids::uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    assert!(uuid.is_some());
    for same in [
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
        "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        "urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ] {
        assert_eq!(ids::uuid(same), uuid, "{same}");
    }
    for none in [
        "",
        "{",
        "-a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0eebc999c0b4ef8bb6d6bb9bd380a11-",
        "a0e-ebc999c0b4ef8bb6d6bb9bd380a11",
        "a0ee--bc999c0b4ef8bb6d6bb9bd380a11",
        "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0eebc999c0b4ef8bb6d6bb9bd380a11}",
        "a0eebc999c0b4ef8bb6d6bb9bd380a1",
        "a0eebc999c0b4ef8bb6d6bb9bd380a111",
        "g0eebc999c0b4ef8bb6d6bb9bd380a11",
        "ａ0eebc999c0b4ef8bb6d6bb9bd380a11",
    ] {
        assert_eq!(ids::uuid(none), None, "{none}");
    }
}

#[test]
fn metadata_keys() {
    for key in ["userId", "organization id", &"ß".repeat(40)] {
        assert_eq!(ids::MetadataKey::parse(key).map(|it| it.to_string()), Ok(key.to_owned()));
    }
    for key in ["", "a[b", "a]", "a\n", &"a".repeat(41)] {
        let invalid = ids::MetadataKey::parse(key).unwrap_err();
        assert_eq!(invalid.field, "tenant_metadata_key", "{key}");
    }
}
