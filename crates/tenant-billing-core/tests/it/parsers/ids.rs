//! Ids, e-mail addresses, and the names of the trail's events.

use std::str::FromStr;

use parser_inputs::{LETTERS, VISIBLE, about, assert_silent, check, letters, texts};
use proptest::{
    prelude::{Strategy, any},
    prop_oneof,
    sample::select,
};
use tenant_billing_core::{
    audit::{EventKind, SurplusReason},
    ids::{AccountId, CustomerId, Email, IdempotencyKey, InstallationId, Invalid, Mode, TenantId},
};

use crate::ids::parts;

const WORDS: &[&str] =
    &["acct_", "cus_", "a", "Z", "9", "_", "-", "/", ".", "@", "tenant-billing/", "test", "live"];

/// Whether a parser does as its rule says: what is accepted reads as it came, and a rejection names
/// the field alone.
fn judged<T>(
    parsed: Result<T, Invalid>,
    text: &str,
    field: &str,
    rule: bool,
    print: impl Fn(&T) -> &str,
) -> bool {
    match parsed {
        Ok(id) => assert_eq!(print(&id), text),
        Err(invalid) => {
            assert!(!rule, "{text:?} was refused: {invalid}");
            assert_eq!(invalid.field, field);
            assert_silent(&invalid.to_string(), text);
            return false;
        }
    }
    assert!(rule, "{text:?} was accepted");
    true
}

fn same<T: FromStr<Err = Invalid> + PartialEq + std::fmt::Debug>(
    parsed: &Result<T, Invalid>,
    text: &str,
) {
    assert_eq!(&text.parse(), parsed);
}

fn visible(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[test]
fn tenant_ids() {
    let short = || letters(VISIBLE, 1..=40);
    check("tenant id", texts(prop_oneof![9 => short(), 1 => about(128, short())], WORDS), |text| {
        let parsed = TenantId::parse(&text);
        same(&parsed, &text);
        judged(parsed, &text, "tenant_id", visible(&text, 128), TenantId::as_str)
    });
}

#[test]
fn customer_ids() {
    let short = || letters(LETTERS, 1..=24).prop_map(|rest| format!("cus_{rest}"));
    check(
        "Customer id",
        texts(prop_oneof![9 => short(), 1 => about(255, short())], WORDS),
        |text| {
            let rule = visible(&text, 255) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
            let parsed = CustomerId::parse(&text);
            same(&parsed, &text);
            judged(parsed, &text, "stripe_customer_id", rule, CustomerId::as_str)
        },
    );
}

#[test]
fn account_ids() {
    let short = || letters(LETTERS, 1..=24).prop_map(|rest| format!("acct_{rest}"));
    check("account id", texts(prop_oneof![9 => short(), 1 => about(64, short())], WORDS), |text| {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let rule =
            (6..=64).contains(&text.len()) && text.starts_with("acct_") && text.bytes().all(word);
        let parsed = AccountId::parse(&text);
        same(&parsed, &text);
        judged(parsed, &text, "stripe_account", rule, AccountId::as_str)
    });
}

#[test]
fn installation_ids() {
    let short = || letters("0123456789abcdefXYZ-", 6..=40);
    check(
        "installation",
        texts(prop_oneof![9 => short(), 1 => about(64, short())], WORDS),
        |text| {
            let rule = (8..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let parsed = InstallationId::parse(&text);
            same(&parsed, &text);
            judged(parsed, &text, "installation", rule, InstallationId::as_str)
        },
    );
}

#[test]
fn modes() {
    check("mode", texts(select(&["test", "live"][..]).prop_map(str::to_owned), WORDS), |text| {
        let rule = text == "test" || text == "live";
        judged(Mode::parse(&text), &text, "mode", rule, |mode| mode.as_str())
    });
}

#[test]
fn email_addresses() {
    let part = || letters("abcXYZ019.+-_", 1..=16);
    let short = (part(), part()).prop_map(|(local, domain)| format!("{local}@{domain}.example"));
    let long = (about(512, part()), 1..500_usize).prop_map(|(mut text, at)| {
        text.replace_range(at..=at, "@");
        text
    });
    check("e-mail address", texts(prop_oneof![9 => short, 1 => long], WORDS), |text| {
        let rule = text.chars().count() <= 512
            && !text.chars().any(char::is_control)
            && text.trim() == text
            && text.matches('@').count() == 1
            && !text.starts_with('@')
            && !text.ends_with('@');
        let parsed = Email::parse(&text);
        same(&parsed, &text);
        judged(parsed, &text, "email", rule, Email::as_str)
    });
}

/// The parts of a key of ours: installation, live or not, tenant and generation.
fn key_parts() -> impl Strategy<Value = (String, bool, String, u64)> {
    let tenant = prop_oneof![9 => letters(VISIBLE, 1..=40), 1 => letters(VISIBLE, 126..=128)];
    let generation = prop_oneof![3 => 1..20_u64, 1 => any::<u64>()];
    (letters("0123456789abcdef-", 8..=64), any::<bool>(), tenant, generation)
}

fn mode(live: bool) -> Mode {
    if live { Mode::Live } else { Mode::Test }
}

#[test]
fn idempotency_keys() {
    let key = || {
        key_parts().prop_map(|(installation, live, tenant, generation)| {
            format!("tenant-billing/{installation}/{}/{tenant}/{generation}", mode(live))
        })
    };
    check(
        "idempotency key",
        texts(prop_oneof![9 => key(), 1 => about(255, key())], WORDS),
        |text| {
            let parsed = IdempotencyKey::parse(&text);
            same(&parsed, &text);
            let ours = parsed.as_ref().ok().and_then(IdempotencyKey::parts);
            if let Some(parts) = &ours {
                assert_eq!(IdempotencyKey::of(parts).as_str(), text);
            }
            judged(parsed, &text, "idempotency_key", visible(&text, 255), IdempotencyKey::as_str)
                && ours.is_some()
        },
    );
}

#[test]
fn a_key_written_is_read_back() {
    check("idempotency key, written", key_parts(), |(installation, live, tenant, generation)| {
        let parts = parts(&installation, mode(live), &tenant, generation);
        let key = IdempotencyKey::of(&parts);
        assert!(key.as_str().len() <= 255);
        assert_eq!(IdempotencyKey::parse(key.as_str()).map(|it| it.parts()), Ok(Some(parts)));
        live
    });
}

#[test]
fn kinds_of_events_and_reasons() {
    let names: Vec<_> = EventKind::ALL.iter().map(|it| it.as_str()).collect();
    let names = [names, SurplusReason::ALL.iter().map(|it| it.as_str()).collect()].concat();
    check(
        "event kind, surplus reason",
        texts(select(names).prop_map(str::to_owned), WORDS),
        |text| {
            let kind = EventKind::parse(&text).map(EventKind::as_str);
            let reason = SurplusReason::parse(&text).map(SurplusReason::as_str);
            let read = kind.or(reason);
            assert!(read.is_none_or(|name| name == text));
            read.is_some()
        },
    );
}
