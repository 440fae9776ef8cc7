//! How far back an inquiry reads, and what it must read to prove that there is no Customer.

use tenant_billing_core::{
    answer::Failure,
    decide::{after, next},
    provisioning::{Asker, Inquiry, Observation, Step},
    request::{CustomerDetails, FrozenRequest},
    state::{Row, State, View},
};

use crate::{
    scene::{
        At, But, DETAILS, G, NOW, OTHER, SECOND, caller, context, hours, in_doubt, minutes, now,
        ours, row_in, tenant, unbound, view,
    },
    summary::step,
};

pub(crate) fn inquiry_of(view: &View) -> Inquiry {
    match next(view, Asker::Worker, &context()) {
        Step::Inquire(inquiry) => inquiry,
        step => panic!("no inquiry: {step:?}"),
    }
}

#[test]
fn an_inquiry_reads_events_since_a_day_before_the_opening_and_30_days_at_most() {
    let month = hours(30 * 24);
    let table = [
        // age of the row, sent, events since (before now), needs search
        (hours(2), true, hours(26), false),
        (hours(23), true, hours(47), false),
        (month - hours(24) - SECOND, true, month - SECOND, false),
        (month - hours(24), true, month, false),
        (month - hours(24) + SECOND, true, month, true),
        (month, true, month, true),
        (hours(9999), true, month, true),
        // Never sent: whatever exists is of another generation.
        (NOW, false, month, false),
        (hours(2), false, month, false),
    ];
    for (age, sent, since, needs_search) in table {
        let mut view = view(At::InDoubt).aged(age);
        if let Some(row) = &mut view.row {
            row.state = in_doubt(now(), sent);
        }
        let inquiry = inquiry_of(&view);
        assert_eq!(
            (inquiry.events_since, inquiry.needs_search),
            (now() - since, needs_search),
            "{age:#} {sent}"
        );
    }
}

/// Without an e-mail address there is no list of Customers to read: only events show what a stored
/// failure left behind, and only the search what is older than the events.
#[test]
fn without_an_email_an_inquiry_rests_on_events_and_search() {
    let bare = CustomerDetails::without_email();
    let request = FrozenRequest::freeze(&context().identity, &tenant(), G, &bare);
    let failed = Observation::AnsweredWithoutCustomer {
        generation: G,
        failure: Failure::StoredFailure,
        summary: "HTTP 500".into(),
    };
    let pending = unbound(Some(row_in(State::Pending(request.clone()))));
    let row = after(&pending, &failed, &context()).change.row.expect("a row");
    let State::InDoubt { conclusive_from, .. } = row.state else { panic!("{row:?}") };
    assert_eq!(conclusive_from, now() + minutes(70));

    // age of the row, sent, needs search
    for (age, sent, needs_search) in [
        (hours(2), true, false),
        (hours(29 * 24), true, false),
        (hours(29 * 24) + SECOND, true, true),
        (hours(2), false, true),
    ] {
        let request = request.clone();
        let state = State::InDoubt { request, conclusive_from: now(), sent };
        let inquiry = inquiry_of(&unbound(Some(row_in(state))).aged(age));
        assert_eq!(inquiry.needs_search, needs_search, "{age:#} {sent}");
    }

    // No row is opened of which no inquiry might ever prove anything.
    let lost = View { lost_generation: G, ..view(At::NoRow) };
    let said = step(&lost, caller(&bare), &context());
    assert_eq!(said, "operator: no e-mail to look by");
}

/// What was never sent may be frozen anew.
#[test]
fn a_caller_with_an_email_gives_inquiries_something_to_look_by() {
    let bare = CustomerDetails::without_email();
    let request = |details| FrozenRequest::freeze(&context().identity, &tenant(), G, details);
    let row = |details, sent| {
        let (request, conclusive_from) = (request(details), now() + hours(1));
        let row = row_in(State::InDoubt { request, conclusive_from, sent });
        // Another process is at the inquiry.
        Row { next_attempt_at: now() + hours(1), ..row }
    };
    let given = unbound(Some(row(&bare, false)));
    let Step::Commit(change) = next(&given, caller(&OTHER), &context()) else { panic!("frozen") };
    assert_eq!(change.only_if.needs_customer_in, Some(ours()));
    let frozen = change.row.clone().expect("a row");
    let expected = Row { next_attempt_at: now(), ..row(&OTHER, false) };
    assert_eq!((frozen.generation, frozen.version, &frozen.state), (G, 8, &expected.state));
    let inquiry = inquiry_of(&given.changed(*change));
    assert!(!inquiry.needs_search && inquiry.request == request(&OTHER));
    // One that may have been sent, one that has an address, and a caller without any: as ever.
    for (frozen, sent, asked) in
        [(&bare, true, &*OTHER), (&DETAILS, false, &OTHER), (&bare, false, &bare)]
    {
        let view = unbound(Some(row(frozen, sent)));
        assert_eq!(step(&view, caller(asked), &context()), "retry +1h", "{sent}");
    }
}
