//! No text that may end up in a log or a database holds personal data or a secret key.

use tenant_billing_core::{
    answer::{Failure, Rejection, Verdict, judge, summary},
    state::State,
};

use crate::{
    answers::response,
    scene::{
        At, DETAILS, EMAIL, caller, customer, found, inquired, live, rejection, request, view,
    },
    summary::without_personal_data,
};

/// The e-mail address, the name `Jane Q. Doe` and a key, as they are and in disguise.
const DISGUISES: &[&str] = &[
    EMAIL,
    "JANE.DOE@EXAMPLE.COM",
    "jane.doe%40example.com",
    "JANE.DOE%40EXAMPLE.COM",
    "jane.doe＠example.com",
    "<jane.doe@example.com>.",
    "\\\"jane.doe@example.com\\\"",
    "Jane Q. Doe",
    "JANE Q. DOE",
    "jane q. doe",
    "Jane+Q.+Doe",
    "Jane%20Q.%20Doe",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "SK_LIVE_4EC39HQLYJWDARJTT1ZDP7DC",
    "(rk_test_4eC39HqLyjWDarjtT1zdp7dc)",
    "key=sk_test_4eC39",
];

fn leaks(text: &str) -> bool {
    let text = text.to_lowercase();
    ["jane", "doe", "sk_", "rk_", "4ec39"].iter().any(|it| text.contains(it))
}

#[test]
fn the_message_of_a_rejection_holds_no_personal_data() {
    let mut leaked = Vec::new();
    for disguise in DISGUISES {
        for message in [
            format!("Invalid: {disguise} is no good."),
            (*disguise).to_owned(),
            format!("{disguise}\\n{disguise}"),
        ] {
            let body = format!(
                r#"{{"error":{{"type":"invalid_request_error","param":"email","message":"{message}"}}}}"#
            );
            let Verdict::Failed(Failure::Rejected(rejection)) =
                judge(&response(400, &[], &body), &request(1))
            else {
                panic!("{body}");
            };
            if leaks(&rejection.message)
                || leaks(&rejection.to_string())
                || leaks(&format!("{rejection:?}"))
            {
                leaked.push(rejection.message);
            }
        }
    }
    assert_eq!(leaked, Vec::<String>::new());
}

#[test]
fn the_message_of_a_rejection_says_what_is_wrong() {
    let body = format!(
        r#"{{"error":{{"type":"invalid_request_error","code":"email_invalid","param":"email","message":"Invalid email address: {EMAIL}"}}}}"#
    );
    let expected = Rejection {
        code: Some("email_invalid".into()),
        param: Some("email".into()),
        message: "Invalid email address: […]".into(),
    };
    assert_eq!(
        judge(&response(400, &[], &body), &request(1)),
        Verdict::Failed(Failure::Rejected(expected))
    );
}

#[test]
fn the_summary_of_an_answer_holds_no_personal_data() {
    let mut leaked = Vec::new();
    for disguise in DISGUISES {
        for field in ["type", "code", "param"] {
            for value in
                [(*disguise).to_owned(), format!("bad_{disguise}"), format!("metadata[{disguise}]")]
            {
                let body = format!(r#"{{"error":{{"message":"{disguise}","{field}":"{value}"}}}}"#);
                let words = summary(&response(400, &[], &body));
                if leaks(&words) {
                    leaked.push(words);
                }
            }
        }
    }
    assert_eq!(leaked, Vec::<String>::new());
}

#[test]
fn debug_output_holds_no_personal_data() {
    let key = request(1).key.to_string();
    let shown = [
        format!("{:?}", DETAILS.email().expect("an address")),
        format!("{:#?}", *DETAILS),
        format!("{:?}", request(1)),
        format!("{:?}", State::Pending(request(1))),
        format!("{:?}", State::Rejected(request(1), rejection())),
        format!("{:?}", customer("cus_1", 7)),
        format!("{:?}", live(1, "cus_1")),
        format!("{:?}", inquired(found(&["cus_1"]))),
        format!("{:?}", caller(&DETAILS)),
        format!("{:?}", view(At::InDoubt)),
    ];
    for text in shown {
        without_personal_data(&text);
        assert!(!text.contains("gold") && !text.contains("example"), "{text}");
    }
    assert!(format!("{:?}", request(1)).contains(&key), "a log needs the key");
    // That something is left out is said.
    assert_eq!(format!("{:?}", DETAILS.email()), "Some(Email(…))");
    assert_eq!(format!("{:?}", *DETAILS), "CustomerDetails(…)");
    assert_eq!(
        format!("{:?}", customer("cus_1", 7)),
        "Customer { id: cus_1, created: 7, deleted: false, … }"
    );
}
