use parser_inputs::{check, spoiled};
use proptest::{collection::vec, prelude::Strategy, prop_oneof, sample::select};

use super::{Mutation, State, replay};

/// A number that belongs there, and sometimes another.
fn number(good: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    let others = [
        "-1",
        "4294967295",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "1.5",
    ];
    prop_oneof![15 => select(good), 1 => select(others.to_vec())]
}

/// The lines that a sandbox writes, with numbers that may not fit them.
fn lines() -> impl Strategy<Value = String> {
    let deeds = [
        r#"{"created":{"form":{"email":"a@b.example","metadata[tenantId]":"t"}}}"#,
        r#"{"created":{"form":{"tax_id_data[0][type]":"eu_vat","name":"ä"}}}"#,
        r#"{"updated":{"customer":#,"form":{"email":""}}}"#,
        r#"{"deleted":{"customer":#}}"#,
        r##"{"endpoint_created":{"form":{"url":"http://h","enabled_events[0]":"*"}}}"##,
        r#"{"endpoint_updated":{"endpoint":#,"form":{"disabled":"true"}}}"#,
        r#"{"endpoint_deleted":{"endpoint":#}}"#,
    ];
    let kinds = [
        r#"{"did":"opened","time":#,"base":7}"#,
        r#"{"did":"clock","offset_ms":@}"#,
        r#"{"did":"reset","time":#}"#,
        r#"{"did":"changed","change":{"scope":$,"at_ms":@,"by":null,"what":!},"save":null}"#,
        r#"{"did":"changed","change":{"scope":$,"at_ms":@,"by":{"request":#,"key":"k","came_ms":@,"platform":"acct_p"},"what":!},"save":{"key":"k","endpoint":"/v1/customers","fingerprint":5,"first_used_ms":@}}"#,
        r#"{"did":"changed","change":{"scope":$,"at_ms":@,"by":null,"what":!},"save":null}"#,
        r#"{"did":"failed","scope":$,"request":#,"save":{"key":"k","endpoint":"/v1/customers","fingerprint":5,"first_used_ms":@},"failure":{"status":500,"body":"{}"},"effect":{"due_ms":@0,"change":{"scope":$,"at_ms":@,"by":null,"what":!}}}"#,
        r#"{"did":"due"}"#,
        r#"{"did":"attempted","target":{"scope":$,"event":#,"owner":"acct_sandbox","endpoint":#},"at_ms":@,"status":500}"#,
    ];
    let scope = r#"{"account":"acct_sandbox","livemode":false}"#;
    let line = (
        select(kinds.to_vec()),
        select(deeds.to_vec()),
        number(&["0", "0", "0", "1"]),
        number(&["0", "5000", "1700000000000"]),
    );
    let line = line.prop_map(move |(kind, deed, place, time)| {
        let line = kind.replace('$', scope).replace('!', deed);
        format!("{}\n", line.replace('#', place).replace('@', time))
    });
    vec(line, 1..7).prop_map(|lines| lines.concat())
}

/// The part of the file that is read is whole lines from its beginning, and they say the same when
/// they are written again. They lead to a state, or to the number of the line that does not.
#[test]
fn files() {
    check("state file", spoiled(lines()), |file| match replay(&file, 1) {
        Ok((state, length)) => {
            let lines = file[..length].split_inclusive(|byte| *byte == b'\n');
            for line in lines {
                let read: Mutation = serde_json::from_slice(line).expect("it was read before");
                let written = serde_json::to_vec(&read).expect("numbers and texts");
                let again: Mutation = serde_json::from_slice(&written).expect("what was written");
                assert_eq!(serde_json::to_vec(&again).expect("numbers and texts"), written);
            }
            show(state);
            length > 0
        }
        Err(why) => {
            assert!(why.starts_with("line "), "{why}");
            false
        }
    });
}

/// All that a state holds can be shown, and the state goes on.
fn show(mut state: State) {
    assert!(state.opened < u64::MAX && state.resets < u64::MAX);
    state.catch_up(i64::MAX);
    for book in state.books.values() {
        for at in 0..book.customers.len() {
            let id = book.customer_id(at);
            assert_eq!(book.position(&id), Some(at));
            let _ = (book.customers.current(at), book.customers.seen_at(at, 0));
        }
        for at in 0..book.events.len() {
            let event = book.events.at(at, &book.customers);
            assert!(event.is_none_or(|event| event.customer < book.customers.len()));
        }
    }
}
