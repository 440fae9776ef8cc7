//! What is asked of Stripe, and the frozen body that it is read back from.

use parser_inputs::{SECRET, about, assert_silent, check, letters, text, texts};
use proptest::{collection::vec, option, prelude::Strategy, prop_oneof};
use tenant_billing_core::{
    ids::{Email, Invalid},
    request::{CustomerDetails, FrozenRequest, INSTALLATION_KEY, TENANT_KEY},
};

use crate::{
    requests::plain,
    scene::{context, request, tenant},
};

const WORDS: &[&str] =
    &["a", "é", " ", "[", "]", "metadata[", "=", "&", "email=", "name=", "@", "%20", "+", "plan"];

fn frozen(details: &CustomerDetails) -> FrozenRequest {
    FrozenRequest::freeze(&context().identity, &tenant(), 1, details)
}

fn free_of_control(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[test]
fn names() {
    let short = || letters("abcdef XYZ.,'-", 1..=30);
    check("name", texts(prop_oneof![9 => short(), 1 => about(256, short())], WORDS), |text| {
        let parsed = plain().with_name(&text);
        assert_eq!(parsed.is_ok(), free_of_control(&text, 256), "{text:?}");
        match parsed {
            Ok(details) => assert_eq!(frozen(&details).details().as_ref(), Ok(&details)),
            Err(invalid) => {
                assert_eq!(invalid.field, "name");
                assert_silent(&invalid.to_string(), &text);
                return false;
            }
        }
        true
    });
}

#[test]
fn metadata() {
    let key = prop_oneof![
        8 => letters("abcXYZ_.- ", 1..=16),
        1 => about(40, letters("abc", 1..=9)),
        1 => letters("a", 1..=2).prop_map(|it| if it == "a" { TENANT_KEY } else { INSTALLATION_KEY }.into()),
    ];
    let value =
        prop_oneof![9 => letters("abc XYZ", 1..=30), 1 => about(500, letters("abc", 1..=9))];
    check("metadata", (texts(key, WORDS), texts(value, WORDS)), |(key, value)| {
        let known = free_of_control(&key, 40) && !key.contains(['[', ']']);
        let own = [TENANT_KEY, INSTALLATION_KEY].contains(&&*key);
        let rule = known && !own && (1..=500).contains(&value.chars().count());
        let parsed = plain().with_metadata(&key, &value);
        assert_eq!(parsed.is_ok(), rule, "{key:?} {value:?}");
        match parsed {
            Ok(details) => {
                assert_eq!(frozen(&details).details().as_ref(), Ok(&details));
                assert!(details.clone().with_metadata(&key, &value).is_err(), "given twice");
            }
            Err(Invalid { field, reason }) => {
                assert_eq!(
                    field,
                    if known { format!("metadata[{key}]") } else { "metadata".into() }
                );
                assert_silent(&reason, &key);
                assert_silent(&reason, &value);
            }
        }
        rule
    });
}

/// An e-mail address, a name, and metadata, as a caller may give them.
fn details() -> impl Strategy<Value = CustomerDetails> {
    let odd = || letters("aZ09 &=%+[]@\"\\/;", 1..=12).prop_map(|it| it.replace('Z', "é€𝄞"));
    let metadata = vec((letters("abc&=% .+", 1..=6), odd()), 0..3);
    (option::of(odd()), option::of(odd()), metadata).prop_map(|(local, name, metadata)| {
        let email = |local: String| {
            let local = local.trim().replace('@', "_");
            Email::parse(&format!("x{local}@example.com")).expect("an address")
        };
        let email = local.map(email);
        let mut details = email.map_or_else(CustomerDetails::without_email, CustomerDetails::new);
        if let Some(name) = name {
            details = details.with_name(&name).expect("a name");
        }
        for (key, value) in metadata {
            details = details.clone().with_metadata(&key, &value).unwrap_or(details);
        }
        details
    })
}

#[test]
fn what_is_frozen_is_read_back() {
    check("frozen body, written", details(), |details| {
        let frozen = frozen(&details);
        assert!(frozen.body.is_ascii());
        assert_eq!(frozen.details(), Ok(details));
        frozen.body.contains("name=")
    });
}

#[test]
fn frozen_bodies() {
    check("frozen body", texts(details().prop_map(|it| frozen(&it).body), WORDS), |body| {
        match (FrozenRequest { body, ..request(1) }).details() {
            Ok(details) => assert_eq!(frozen(&details).details(), Ok(details)),
            Err(invalid) => {
                assert!(!invalid.reason.contains(SECRET), "{invalid}");
                return false;
            }
        }
        true
    });
}

#[test]
fn fields_that_stripe_names() {
    let named = letters("a", 1..=4)
        .prop_map(|it| ["email", "name", "metadata[plan]", "phone"][it.len() - 1].to_owned());
    check("param of an error", texts(named, WORDS), |param| {
        let first = text(param.bytes().take_while(|byte| *byte != b'[').collect());
        let holds = request(1).holds(&param);
        assert_eq!(holds, ["email", "name", "metadata"].contains(&&*first), "{param:?}");
        holds
    });
}
