use parser_inputs::{assert_silent, check, letters, texts};
use proptest::prelude::Strategy;

use super::*;

const SECRET: &str = "whsec_test";
/// Its signature was computed by `printf '1700000000.%s' BODY | openssl dgst -sha256 -hmac
/// whsec_test`.
const BODY: &str = r#"{"id":"evt_1","object":"event","type":"customer.deleted","data":{"object":{"id":"cus_1","object":"customer"}}}"#;
const BODY_SIGNATURE: &str = "38e1235d1bb68d25c9e47884b1fd6ccff1a04a402fe4fb735525e60e6c82ca11";

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a time")
}

fn secrets(texts: &[&str]) -> Vec<WebhookSecret> {
    texts.iter().map(|text| WebhookSecret::parse(text).expect("a secret")).collect()
}

fn sign(secret: &str, time: i64, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    let mac = mac.chain_update(format!("{time}.{body}"));
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("t={time},v1={hex}")
}

fn verified(header: &str, body: &str) -> Result<WebhookEvent, WebhookError> {
    verify(&secrets(&[SECRET]), header, body.as_bytes(), now())
}

#[test]
fn a_signature_made_by_another_program_is_accepted() {
    let header = format!("t=1700000000,v1={BODY_SIGNATURE}");
    let kind = WebhookKind::CustomerDeleted(CustomerId::parse("cus_1").expect("an id"));
    assert_eq!(verified(&header, BODY), Ok(WebhookEvent { id: "evt_1".into(), kind }));
    assert_eq!(
        verified(&header.to_uppercase().replace("T=", "t=").replace("V1=", "v1="), BODY)
            .map(|it| it.id),
        Ok("evt_1".into())
    );
}

#[test]
fn a_wrong_signature_a_changed_body_and_another_secret_are_refused() {
    let good = sign(SECRET, 1_700_000_000, BODY);
    let wrong = Err(WebhookError::WrongSignature);
    assert_eq!(verified(&good, &BODY.replace("cus_1", "cus_2")), wrong);
    assert_eq!(verified(&good.replace("t=1700000000", "t=1700000001"), BODY), wrong);
    assert_eq!(verified(&sign("whsec_other", 1_700_000_000, BODY), BODY), wrong);
    assert_eq!(verified(&good[..good.len() - 2], BODY), wrong);
    assert_eq!(verify(&[], &good, BODY.as_bytes(), now()), wrong);
}

#[test]
fn one_good_signature_of_several_and_one_good_secret_of_several_are_enough() {
    let good = sign(SECRET, 1_700_000_000, BODY);
    let v1 = good.split_once(',').expect("two parts").1;
    let zeros = "0".repeat(64);
    let header = format!("t=1700000000,v1={zeros},{v1},v0=abc,scheme");
    assert!(verified(&header, BODY).is_ok());
    for both in [["whsec_old", SECRET], [SECRET, "whsec_new"]] {
        assert!(verify(&secrets(&both), &good, BODY.as_bytes(), now()).is_ok());
    }
}

#[test]
fn a_signature_is_good_for_five_minutes_in_either_direction() {
    for (off, good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
        let event = verified(&sign(SECRET, 1_700_000_000 + off, BODY), BODY);
        let stale = event == Err(WebhookError::Stale);
        assert_eq!((event.is_ok(), stale), (good, !good), "{off} s");
    }
    // A time that no clock shows must neither panic nor pass.
    for time in [i64::MAX, i64::MIN] {
        assert_eq!(verified(&sign(SECRET, time, BODY), BODY), Err(WebhookError::Stale));
    }
}

#[test]
fn a_malformed_header_is_refused() {
    for header in ["", "t=1700000000", "v1=00", "t=now,v1=00", "t=1700000000,v1=0g", "t,v1"] {
        assert_eq!(verified(header, BODY), Err(WebhookError::Malformed), "{header:?}");
    }
}

#[test]
fn events_are_read_leniently() {
    let created = |request: &str| {
        format!(
            r#"{{"id":"evt_2","type":"customer.created","api_version":"2099-01-01.new",
                "data":{{"object":{{"id":"cus_9","email":"a@example.com"}}}}{request}}}"#
        )
    };
    let customer = CustomerId::parse("cus_9").expect("an id");
    for (request, key) in [
        (r#","request":{"id":"req_1","idempotency_key":"k"}"#, Some("k")),
        (r#","request":{"id":null,"idempotency_key":null}"#, None),
        (r#","request":"req_1""#, None),
        (r#","request":null"#, None),
        ("", None),
    ] {
        let body = created(request);
        let event = verified(&sign(SECRET, 1_700_000_000, &body), &body).expect("an event");
        let idempotency_key = key.map(str::to_owned);
        let kind = WebhookKind::CustomerCreated { customer: customer.clone(), idempotency_key };
        assert_eq!(event.kind, kind, "{request}");
    }
    let thin = r#"{"id":"evt_3","object":"v2.core.event","type":"v2.core.account.created"}"#;
    let event = verified(&sign(SECRET, 1_700_000_000, thin), thin).expect("an event");
    assert_eq!(event.kind, WebhookKind::Other("v2.core.account.created".into()));
    for body in ["", "[]", r#"{"id":"evt_1","type":"customer.deleted"}"#, "\u{0}"] {
        let read = verified(&sign(SECRET, 1_700_000_000, body), body);
        assert_eq!(read, Err(WebhookError::Unreadable), "{body:?}");
    }
}

#[test]
fn any_header_is_read_without_a_panic() {
    const WORDS: &[&str] = &["t=", "v1=", "v0=", ",", "1700000000", "00", "=", " ", "-1", "é"];
    let header = || letters("0123456789abcdef", 1..=64);
    let good = header().prop_map(|hex| format!("t=1700000000,v1={hex}"));
    check("Stripe-Signature", texts(good, WORDS), |text| {
        let refused = verified(&text, BODY);
        assert!(refused.is_err(), "{text:?}");
        refused == Err(WebhookError::WrongSignature)
    });
}

#[test]
fn a_secret_is_shown_nowhere() {
    let good = letters("abcXYZ019_+/=", 1..=60).prop_map(|rest| format!("whsec_{rest}"));
    const WORDS: &[&str] = &["whsec_", "sk_test_", " ", "\n", "a", "é"];
    check("webhook secret", texts(good, WORDS), |text| match WebhookSecret::parse(&text) {
        Ok(secret) => {
            assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
            assert!(text.starts_with("whsec_") && text.len() > 6);
            true
        }
        Err(invalid) => {
            assert_eq!(invalid.field, "webhook_secret");
            assert_silent(&invalid.to_string(), &text);
            false
        }
    });
}
