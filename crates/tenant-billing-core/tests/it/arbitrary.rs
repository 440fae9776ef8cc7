//! No text and no bytes make a parser panic, and what is written is read back.
//!
//! `PROPTEST_CASES` sets how many are tried; 256 by default.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use tenant_billing_core::{
    answer::{
        Answer, Customer, Headers, Verdict, account_id, created_events, customers, describe, judge,
        read, request_id,
    },
    ids::{AccountId, CustomerId, Email, IdempotencyKey, InstallationId, Mode, TenantId},
    request::{CustomerDetails, FrozenRequest},
};

use crate::{
    scene::{request, site, tenant},
    {ids::parts, requests::plain},
};

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
    let created = matches!(judge(&answer, &request), Verdict::Created { .. });
    assert!(!created || ((200..300).contains(&status) && account_id(body).is_some()));
    let _ = (describe(&answer), request_id(&answer).is_some());
    let _ =
        (read(&answer, Customer::parse), read(&answer, customers), read(&answer, created_events));
}
