//! The rules beside the table: what an inquiry reads, which requests are frozen, accounts, and
//! pace.

use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::{
    OperatorError,
    answer::Failure,
    decide::{after, next},
    ids::{Email, Mode},
    provisioning::{Asker, Context, Findings, Inconclusive, Inquiry, Observation, Step},
    request::{Account, CustomerDetails, FrozenRequest, STRIPE_VERSION},
    state::{Column, Row, State, View},
};

use crate::{
    scene::{
        At, But, COLUMNS, DETAILS, G, NOW, OTHER, SECOND, X, account, caller, context, cus,
        details, found, hours, in_doubt, inquire_first, inquired, live, minutes, now, ours,
        rejection, request, restored, row_in, tenant, unbound, view,
    },
    state_table_reach::inquiry_of,
    summary::{check, step},
};

#[test]
fn a_row_in_doubt_keeps_its_opening_time_and_is_due_at_once() {
    let observation = Observation::AnsweredWithoutCustomer {
        generation: G,
        failure: Failure::StoredFailure,
        summary: "HTTP 500".into(),
    };
    let view = view(At::Pending);
    let row = after(&view, &observation, &context()).change.row.expect("a row");
    assert_eq!(row.opened_at, now() - hours(2));
    assert_eq!((row.next_attempt_at, row.attempts), (now(), 0));
    assert_eq!(row.last_error.as_deref(), Some("HTTP 500"));
}

#[test]
fn a_row_that_moves_on_forgets_what_went_wrong() {
    let (failure, summary) = (Failure::Rejected(rejection()), "HTTP 400".to_owned());
    let rejected = Observation::AnsweredWithoutCustomer { generation: G, failure, summary };
    let deleted = Observation::CreatedButDeleted { generation: G, customer: cus(X) };
    for observation in [live(G, X), rejected, deleted] {
        let row = after(&view(At::Pending), &observation, &context()).change.row.expect("a row");
        assert_eq!((row.attempts, row.last_error), (0, None), "{observation:?}");
    }
    let row = after(&view(At::InDoubt), &inquired(Findings::Nothing), &context()).change.row;
    assert_eq!(row.map(|row| (row.attempts, row.last_error)), Some((0, None)));
}

#[test]
fn an_inquiry_is_never_conclusive_earlier_than_it_was_going_to_be() {
    let table = [
        (hours(9), "D3 +9h"),
        (hours(5), "D3 +5h"),
        (minutes(10), "D3 +5h"),
        (-hours(9), "D3 +5h"),
    ];
    for (conclusive, expected) in table {
        let mut view = view(At::InDoubt);
        if let Some(row) = &mut view.row {
            row.state = in_doubt(now() + conclusive, true);
        }
        let cell = format!("{expected} surplus cus_x late [surplus in_doubt]");
        check("older generation", &view, &live(G - 1, X), &context(), &cell);
    }
}

#[test]
fn a_row_that_an_older_answer_puts_in_doubt_keeps_the_request_of_that_answer() {
    let mut asked = request(G - 1);
    asked.body = asked.body.replace("jane", "joan");
    let (generation, customer) = (G - 1, cus(X));
    let observation =
        Observation::CreatedAlive { generation, customer, request: Some(asked.clone()) };
    for at in [At::Vacant, At::Pending, At::InDoubt, At::Rejected] {
        let row = after(&view(at), &observation, &context()).change.row.expect("a row");
        assert_eq!(row.state.request(), Some(&asked), "{at:?}");
    }
}

/// The row after an inquiry has proved that there is no Customer.
fn reopened(state: State) -> Row {
    let view = unbound(Some(row_in(state)));
    let change = after(&view, &inquired(Findings::Nothing), &context()).change;
    change.row.expect("a row")
}

#[test]
fn a_proof_that_there_is_none_freezes_the_rows_own_details_anew() {
    let mut old = request(G);
    old.stripe_version = "2020-08-27".into();
    old.account = account("acct_ours", Mode::Live);
    for (sent, generation) in [(true, G + 1), (false, G)] {
        let conclusive_from = now();
        let row = reopened(State::InDoubt { request: old.clone(), conclusive_from, sent });
        let expected = FrozenRequest::freeze(&context().identity, &tenant(), generation, &DETAILS);
        assert_eq!(row.state, State::Pending(expected));
        assert_eq!((row.generation, row.opened_at, row.attempts), (generation, now(), 0));
        assert!(row.next_attempt_at > now(), "whoever reopened it sends it");
        let State::Pending(request) = &row.state else { panic!() };
        assert_eq!(request.stripe_version, STRIPE_VERSION);
    }
}

#[test]
fn a_proof_that_there_is_none_opens_nothing_that_cannot_be_read_back() {
    let mut request = request(G);
    request.body = "name=x".into();
    let view =
        unbound(Some(row_in(State::InDoubt { request, conclusive_from: now(), sent: true })));
    check(
        "unreadable",
        &view,
        &inquired(Findings::Nothing),
        &context(),
        "postponed [inquiry_failed]",
    );
}

#[test]
fn an_opening_freezes_what_was_asked() {
    for (at, version, generation) in
        [(At::NoRow, None, 1), (At::Vacant, Some(7), G), (At::Rejected, Some(7), G + 1)]
    {
        let Step::Commit(change) = next(&view(at), caller(&OTHER), &context()) else {
            panic!("{at:?}")
        };
        let row = change.row.clone().expect("a row");
        let expected = FrozenRequest::freeze(&context().identity, &tenant(), generation, &OTHER);
        assert_eq!(row.state, State::Pending(expected));
        assert_eq!((change.only_if.version, row.version), (version, version.unwrap_or(0) + 1));
        assert_eq!((row.opened_at, row.attempts), (now(), 0));
        assert!(
            row.next_attempt_at > now() + SignedDuration::from_secs(10),
            "past the caller's deadline"
        );
        assert_eq!((change.column, row.last_error), (Column::Keep, None));
    }
}

#[test]
fn an_opening_that_begins_in_doubt_is_due_at_once_and_its_proof_opens_the_same_generation() {
    for (at, generation) in [(At::NoRow, 1), (At::Vacant, G), (At::Rejected, G + 1)] {
        let next = |view: &View| next(view, caller(&OTHER), &inquire_first());
        let Step::Commit(change) = next(&view(at)) else { panic!("{at:?}") };
        let opened = view(at).changed(*change);
        let Step::Inquire(inquiry) = next(&opened) else { panic!("{at:?}") };
        assert_eq!(inquiry.events_since, now() - hours(30 * 24));
        assert_eq!(inquiry.generation, generation);
        let findings = Findings::Nothing;
        let observation = Observation::InquiryEnded { inquiry, findings };
        let change = after(&opened, &observation, &inquire_first()).change;
        let expected = FrozenRequest::freeze(&context().identity, &tenant(), generation, &OTHER);
        assert_eq!(next(&opened.changed(change)), Step::Send(expected));
    }
}

/// Rows are never deleted, so a trail without a row means a loss. Its generation may have been sent
/// until now, and inquiries read as far back as events reach.
#[test]
fn a_tenant_whose_row_was_lost_is_in_doubt_before_the_next_generation() {
    let lost = View { lost_generation: G, ..view(At::NoRow) };
    let said = step(&lost, caller(&OTHER), &context());
    assert_eq!(said, format!("D{G} +5h guarded [in_doubt]"));
    let Step::Commit(change) = next(&lost, caller(&OTHER), &context()) else { panic!("no row") };
    let in_doubt = lost.changed(*change);
    let Step::Inquire(inquiry) = next(&in_doubt, caller(&OTHER), &context()) else {
        panic!("no inquiry")
    };
    assert_eq!((inquiry.events_since, inquiry.needs_search), (now() - hours(29 * 24), false));
    let later = View { now: now() + hours(23), ..in_doubt.clone() };
    assert!(!inquiry_of(&later).needs_search, "an account without search can conclude");
    let nothing = |began| {
        let inquiry = Inquiry { began, ..inquiry.clone() };
        Observation::InquiryEnded { inquiry, findings: Findings::Nothing }
    };
    check(
        "too early",
        &in_doubt,
        &nothing(now() + hours(5) - SECOND),
        &context(),
        "postponed [inquiry_failed]",
    );
    let proof = format!("P{} guarded [reopened]", G + 1);
    check("in time", &in_doubt, &nothing(now() + hours(5)), &context(), &proof);
}

#[test]
fn a_restore_is_remembered_by_the_rows_that_it_concerns() {
    let at = now() - hours(1);
    let Step::Commit(change) = next(&view(At::NoRow), caller(&OTHER), &restored(at)) else {
        panic!("opens")
    };
    let row = change.row.expect("a row");
    let State::InDoubt { conclusive_from, .. } = row.state else { panic!("{row:?}") };
    assert_eq!(conclusive_from, at + hours(5));
    // A row from before the restore takes it over when the first inquiry finds nothing.
    let nothing = inquired(Findings::Nothing);
    let row = after(&view(At::InDoubt), &nothing, &restored(at)).change.row.expect("a row");
    let State::InDoubt { conclusive_from, .. } = row.state else { panic!("{row:?}") };
    assert_eq!(conclusive_from, at + hours(5));
}

/// The history that a restore has lost may have used any generation that counting leads to.
#[test]
fn after_a_restore_no_generation_is_used_that_may_have_been_used_before() {
    let restored_at = now() - hours(6);
    let unused = u64::try_from(restored_at.as_millisecond()).expect("after 1970");
    let context = restored(restored_at);
    let opened = |view: &View, context: &Context| {
        let Step::Commit(change) = next(view, caller(&OTHER), context) else { panic!("opens") };
        change.row.expect("a row")
    };
    for at in [At::NoRow, At::Vacant, At::Rejected] {
        let row = opened(&view(at), &context);
        let State::InDoubt { request, sent, .. } = &row.state else { panic!("{row:?}") };
        let key = request.key.parts().expect("a key of ours");
        assert_eq!((row.generation, key.generation, *sent), (unused, unused, false));
    }
    // A row in doubt from before the restore.
    for sent in [true, false] {
        let mut view = view(At::InDoubt);
        if let Some(row) = &mut view.row {
            row.state = in_doubt(now() - hours(7), sent);
        }
        let expected = format!("P{unused} guarded [reopened]");
        check("restored", &view, &inquired(Findings::Nothing), &context, &expected);
    }
    // From there on, generations are counted by one again.
    for (at, expected) in [(At::Vacant, unused + 3), (At::Rejected, unused + 4)] {
        let mut view = view(at);
        if let Some(row) = &mut view.row {
            row.generation = unused + 3;
        }
        assert_eq!(opened(&view, &context).generation, expected);
    }
    let before_1970 = restored(Timestamp::from_second(-1).expect("a time"));
    assert_eq!(opened(&view(At::Vacant), &before_1970).generation, G);
}

#[test]
fn a_request_that_was_frozen_for_another_account_is_not_sent() {
    let mut view = view(At::Pending);
    if let Some(Row { state: State::Pending(request), .. }) = &mut view.row {
        request.account.id = "acct_other".parse().expect("an id");
    }
    let step = next(&view, Asker::Worker, &context());
    let recorded = account("acct_other", Mode::Live);
    assert_eq!(step, wrong_account(&recorded));
}

#[test]
fn an_opening_accepts_any_time_to_wait() {
    for wait in [SignedDuration::ZERO, hours(24), SignedDuration::MAX] {
        let said = step(&view(At::NoRow), Asker::Caller(&DETAILS, wait), &context());
        assert_eq!(said, "P1 guarded [opened]", "{wait:?}");
    }
}

#[test]
fn a_rejection_is_final_only_for_the_same_request() {
    let plain = |email: &str| CustomerDetails::new(Email::parse(email).expect("an address"));
    let email = DETAILS.email().expect("an address").as_str();
    let table = [
        ((*DETAILS).clone(), "rejected"),
        (details(email), "rejected"),
        (plain(email), "P4 guarded [opened]"),
        (CustomerDetails::without_email(), "P4 guarded [opened]"),
        (details(&email.to_uppercase()), "P4 guarded [opened]"),
        (details("jane.doe@example.net"), "P4 guarded [opened]"),
    ];
    for (asked, expected) in table {
        assert_eq!(step(&view(At::Rejected), caller(&asked), &context()), expected);
    }
}

#[test]
fn inquiries_that_decide_nothing_are_spread_out_up_to_ten_minutes() {
    let table = [(0, 5), (1, 10), (2, 20), (6, 320), (7, 600), (8, 600), (u32::MAX - 1, 600)];
    for (attempts, seconds) in table {
        let mut view = view(At::InDoubt);
        view.row.iter_mut().for_each(|row| row.attempts = attempts);
        let unavailable = Inconclusive::Unavailable("HTTP 500".into());
        let failed = inquired(Findings::Inconclusive(unavailable));
        let row = after(&view, &failed, &context()).change.row.expect("a row");
        let due = now() + SignedDuration::from_secs(seconds);
        assert_eq!((row.next_attempt_at, row.attempts), (due, attempts + 1));
    }
}

#[test]
fn recovery_of_failed_sends_is_spread_out_up_to_ten_minutes_and_leaves_callers_alone() {
    let table = [
        // age, when it was due, when it is due
        (NOW, -SECOND, 5 * SECOND),
        (5 * SECOND, -SECOND, 5 * SECOND),
        (minutes(1), -SECOND, minutes(1)),
        (minutes(10), -SECOND, minutes(10)),
        (hours(19), -SECOND, minutes(10)),
        (2 * SECOND, 13 * SECOND, 13 * SECOND),
        (2 * SECOND, hours(1), hours(1)),
    ];
    for (age, was_due, due) in table {
        let mut view = view(At::Pending).aged(age);
        view.row.iter_mut().for_each(|row| row.next_attempt_at = now() + was_due);
        let (failure, summary) = (Failure::Retry(None), "HTTP 500".into());
        let observation = Observation::AnsweredWithoutCustomer { generation: G, failure, summary };
        let row = after(&view, &observation, &context()).change.row.expect("a row");
        assert_eq!((row.next_attempt_at, row.attempts), (now() + due, 3), "{age:#}");
    }
}

#[test]
fn a_row_in_doubt_is_due_again_as_soon_as_an_inquiry_can_be_conclusive() {
    let mut view = view(At::InDoubt);
    if let Some(row) = &mut view.row {
        (row.attempts, row.state) = (7, in_doubt(now() + minutes(3), true));
    }
    let row = after(&view, &inquired(Findings::Nothing), &context()).change.row.expect("a row");
    assert_eq!(row.next_attempt_at, now() + minutes(3));
}

#[test]
fn nothing_is_opened_sent_or_bound_on_another_account() {
    for recorded in [account("acct_theirs", Mode::Live), account("acct_ours", Mode::Test)] {
        for at in COLUMNS {
            let mut view = view(at);
            view.account = Some(recorded.clone());
            let stop = wrong_account(&recorded);
            assert_eq!(next(&view, Asker::Worker, &context()), stop, "{at:?}");
            let asked = next(&view, caller(&DETAILS), &context());
            assert_eq!(asked, stop, "{at:?}");
            for observation in [live(G, X), inquired(found(&[X])), inquired(found(&["cus_old", X]))]
            {
                let decision = after(&view, &observation, &context());
                let under_way = matches!(at, At::Pending | At::InDoubt);
                assert!(decision.change.is_nothing() || !under_way, "{at:?}");
                assert_eq!(decision.change.column, Column::Keep, "{at:?}");
                let pending =
                    decision.change.row.is_some_and(|row| matches!(row.state, State::Pending(_)));
                assert!(!pending, "{at:?}");
            }
        }
    }
}

fn wrong_account(recorded: &Account) -> Step {
    let (recorded, ours) = (recorded.clone(), ours());
    Step::Fail(OperatorError::WrongAccount { recorded, ours: ours.into() }.into())
}
