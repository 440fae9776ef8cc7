//! Callers and the recovery worker ask what to do.

use jiff::{SignedDuration, Timestamp};
use tenant_billing_core::state::View;

use super::{Scenario, calls, works};
use crate::scene::{
    At, BARE, But, DETAILS, G, HOST, OTHER, SECOND, hours, in_doubt, inquire_first, minutes, now,
    restored,
};

const CREATED_NEXT: [&str; 6] =
    ["P1 guarded [opened]", "P3 guarded [opened]", "send 3", "inquire", "rejected", "done cus_cid"];
const IDLE: [&str; 6] = ["idle", "idle", "send 3", "inquire", "idle", "idle"];
const GIVEN_UP: [&str; 6] = ["idle", "idle", "D3 +5h [in_doubt]", "inquire", "idle", "idle"];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        calls("A caller asks, with the details of the stored request if there is one", &DETAILS)
            .cells(CREATED_NEXT),
        calls("A caller asks, with other details", &OTHER).cells([
            "P1 guarded [opened]",
            "P3 guarded [opened]",
            "send 3",
            "inquire",
            "P4 guarded [opened]",
            "done cus_cid",
        ]),
        calls("A caller asks, with the same details, under the policy `inquire_first`", &DETAILS)
            .cause("a caller asks, and an inquiry is to come first")
            .within(inquire_first())
            .cells([
                "D1 +0s unsent guarded [opened]",
                "D3 +0s unsent guarded [opened]",
                "send 3",
                "inquire",
                "rejected",
                "done cus_cid",
            ]),
        calls("A caller asks, with other details, under the policy `inquire_first`", &OTHER)
            .cause("a caller asks, and an inquiry is to come first")
            .within(inquire_first())
            .cells([
                "D1 +0s unsent guarded [opened]",
                "D3 +0s unsent guarded [opened]",
                "send 3",
                "inquire",
                "D4 +0s unsent guarded [opened]",
                "done cus_cid",
            ]),
        calls("A caller asks an hour after a backup was restored, with other details", &OTHER)
            .cause("a backup was restored")
            .within(restored(now() - hours(1)))
            .cells([
                "D1795172400000 +4h unsent guarded [opened]",
                "D1795172400000 +4h unsent guarded [opened]",
                "D3 +5h [in_doubt]",
                "inquire",
                "D1795172400000 +4h unsent guarded [opened]",
                "done cus_cid",
            ]),
        calls("A caller asks, and the tenant does not exist any more", &DETAILS)
            .but(But::gone)
            .cells(["unknown tenant"; 6]),
        calls("A caller asks, and the host has bound a Customer itself", &DETAILS)
            .but(|view| view.bound_to(HOST))
            .cells(["done cus_host"; 6]),
        calls("A caller asks, and the column is null", &DETAILS).but(But::nulled).cells([
            "P1 guarded [opened]",
            "P3 guarded [opened]",
            "send 3",
            "inquire",
            "rejected",
            "retrieve cus_cid",
        ]),
        calls("A caller asks with other details, and the tenant was registered again", &OTHER)
            .but(|view| View { exists: true, ..view.gone() })
            .cells([
                "P1 guarded [opened]",
                "P3 guarded [opened]",
                "send 3",
                "inquire",
                "P4 guarded [opened]",
                "retrieve cus_cid",
            ]),
        works("The recovery worker takes the row up").cells(IDLE),
        works("The recovery worker takes the row up, and the column is null")
            .but(But::nulled)
            .cells(IDLE),
        works("The recovery worker takes the row up, and the tenant does not exist any more")
            .cause("the tenant is gone")
            .but(But::gone)
            .cells(GIVEN_UP),
        works("The recovery worker takes the row up, and the host has bound a Customer itself")
            .cause("the host has bound a Customer itself")
            .but(|view| view.bound_to(HOST))
            .cells(GIVEN_UP),
        works("The recovery worker takes the row up an hour after a backup was restored")
            .cause("a backup was restored")
            .within(restored(now() - hours(1)))
            .cells(GIVEN_UP),
        calls("A caller asks, and the row was lost but its audit trail was not", &OTHER)
            .cause("the row was lost")
            .but(|view| View { lost_generation: G, ..view })
            .only(At::NoRow, "D3 +5h guarded [in_doubt]"),
        calls("A caller asks without an e-mail address, and the row was lost", &BARE)
            .but(|view| View { lost_generation: G, ..view })
            .only(At::NoRow, "operator: no e-mail to look by"),
        calls("A caller asks, and the row is 20 h old", &DETAILS)
            .but(|view| view.aged(hours(20)))
            .only(At::Pending, "retry +3h"),
        works("The recovery worker takes the row up, which is 20 h old")
            .cause("the key is 20 h old")
            .but(|view| view.aged(hours(20)))
            .only(At::Pending, "same"),
        calls("A caller asks, and the row is 23 h old", &DETAILS)
            .cause("the key is 23 h old")
            .but(|view| view.aged(hours(23)))
            .only(At::Pending, "D3 +2h [in_doubt]"),
        works("The recovery worker takes the row up, which is 23 h old")
            .cause("the key is 23 h old")
            .but(|view| view.aged(hours(23)))
            .only(At::Pending, "D3 +2h [in_doubt]"),
        calls(
            "A caller asks before the next inquiry is due, and none can be conclusive yet",
            &DETAILS,
        )
        .but(|view| in_doubt_view(view, SECOND, minutes(30)))
        .only(At::InDoubt, "retry +1s"),
        calls(
            "A caller asks while another process makes an inquiry that may be conclusive",
            &DETAILS,
        )
        .but(|view| in_doubt_view(view, minutes(1), -minutes(1)))
        .only(At::InDoubt, "wait"),
    ]
}

/// A row in doubt that is due after `due`, and for which an inquiry is conclusive after
/// `conclusive`.
pub(crate) fn in_doubt_view(
    mut view: View,
    due: SignedDuration,
    conclusive: SignedDuration,
) -> View {
    let at: Timestamp = view.now + conclusive;
    if let Some(row) = &mut view.row {
        row.next_attempt_at = view.now + due;
        row.state = in_doubt(at, true);
    }
    view
}
