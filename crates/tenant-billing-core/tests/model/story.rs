//! A counterexample in plain words, one line for each step.

use crate::{
    concrete::Ask,
    stripe::Leaves,
    system::{Act, Fault},
    world::{BARE, Body, Ev, Failed, Found, GOOD, Id, Minutes, Pc, Req, Row, St, World},
};

/// The way from the start to a state that must not be.
pub(crate) fn tell(path: &[(World, Option<Act>)]) -> Vec<String> {
    let mut lines = Vec::new();
    for pair in path.windows(2) {
        let [(before, Some(act)), (after, _)] = pair else { continue };
        lines.push(line(before, *act, after));
    }
    lines
}

fn line(before: &World, act: Act, after: &World) -> String {
    let who = |p: usize| format!("process {}", p + 1);
    let now = |p: usize| doing(&after.procs[p]);
    match act {
        Act::Begin(p, ask) => {
            let ask = match ask {
                Ask::Worker => "recovers".to_owned(),
                Ask::Caller(body) => format!("is called with {}", email(body)),
            };
            format!("{} {ask}, reads {}: {}", who(p), database(before), now(p))
        }
        Act::Hook(p, id) => format!("{} learns by webhook that {} was created", who(p), cus(id)),
        Act::Commit(p) if before.db == after.db => match after.procs[p] {
            Pc::Write(_) => format!("{} finds that it has moved, writes nothing", who(p)),
            _ => format!("{} records the attempt: {}", who(p), now(p)),
        },
        Act::Commit(p) => format!("{} writes {}: {}", who(p), database(after), now(p)),
        Act::Answer(p) => format!("{}'s request: {}: {}", who(p), done(before, after), now(p)),
        Act::InUse(p) => format!("{} is told that the key is in use (409)", who(p)),
        Act::Retrieve(p) => format!("{} retrieves it: {}", who(p), now(p)),
        Act::Read { p, behind } => {
            let behind = if behind { ", while events are behind" } else { "" };
            format!("{} makes an inquiry{behind}: {}", who(p), now(p))
        }
        Act::Decide(p) => format!("{} reads {}: {}", who(p), database(before), now(p)),
        Act::Fault(p, fault) => format!("{}: {} ({})", who(p), wrong(fault), done(before, after)),
        Act::Orphan(o) => {
            let req = before.orphans[o].req;
            let (req, done) = (request(req), done(before, after));
            format!("the request whose sender is gone ({req}) is executed: {done}")
        }
        Act::OrphanFails(..) => "the request whose sender is gone fails with a stored 500".into(),
        Act::Surfaces => format!("what the stored 500 left behind shows: {}", done(before, after)),
        Act::Deleted(id) => format!("somebody deletes {} in Stripe", cus(id)),
        Act::DeletionTold(id) => format!("the webhook says that {} is deleted", cus(id)),
        Act::Nulled => "the host sets its column to null".into(),
        Act::RowLost => "somebody deletes our row".into(),
        Act::Restored => "a backup is restored that holds nothing of the tenant".into(),
        Act::Forgets(g) => format!("Stripe forgets key {g}, which is older than 24 hours"),
        Act::Passes(by) => format!("{} pass", time(by)),
    }
}

fn doing(pc: &Pc) -> String {
    match pc {
        Pc::Idle => "done".into(),
        Pc::Commit { plan, .. } => match plan.row {
            Some(row) => format!("about to write {}", words(&row)),
            None => "about to write to the column".into(),
        },
        Pc::Await { flying, .. } => format!("sends {}", request(flying.req)),
        Pc::Confirm { id, .. } | Pc::Retrieve(id) => format!("knows of {}", cus(*id)),
        Pc::Inquire(_) => "begins an inquiry".into(),
        Pc::Write(ev) => match ev {
            Ev::AnsweredWithoutCustomer { failed, .. } => match failed {
                Failed::Rejected => "told that the e-mail address is refused".into(),
                Failed::StoredFailure => "told that Stripe has stored a failure".into(),
                Failed::Mismatched => "told that the key belongs to another request".into(),
                Failed::Retry => "told nothing of use".into(),
                Failed::Operator => "told that it may not".into(),
            },
            Ev::CreatedAlive { id, .. } | Ev::StillExists(id) => {
                format!("has {} in hand", cus(*id))
            }
            Ev::CreatedButDeleted { id, .. } => format!("knows that {} is deleted", cus(*id)),
            Ev::InquiryEnded { found, .. } => match found {
                Found::Ours(_) => "found a Customer of ours".into(),
                Found::Nothing => "found nothing".into(),
                Found::Inconclusive => "an inquiry that is not conclusive".into(),
            },
        },
    }
}

fn wrong(fault: Fault) -> &'static str {
    match fault {
        Fault::Crash => "stops here",
        Fault::Orphan => "stops here, its request still on its way",
        Fault::RequestLost => "its request is lost",
        Fault::AnswerLost => "its request is executed and the answer lost",
        Fault::Plain500 => "a 500 that Stripe does not store",
        Fault::Masked500 => "a 500 in place of Stripe's success",
        Fault::Stored500(Leaves::Nothing) => "a 500 that Stripe stores; nothing was done",
        Fault::Stored500(Leaves::Shown) => "a 500 that Stripe stores; a Customer was created",
        Fault::Stored500(Leaves::Late) => "a 500 that Stripe stores; a Customer may show later",
        Fault::Denied => "Stripe refuses the secret key",
        Fault::InquiryFails => "the inquiry fails",
        Fault::RetrieveFails => "the retrieve fails",
        Fault::Deleted | Fault::Nulled | Fault::RowLost | Fault::Restored => {
            "not a fault of one process"
        }
    }
}

fn database(world: &World) -> String {
    let row = world.db.row.as_ref().map_or("no row".into(), words);
    match world.db.bound {
        Some(id) => format!("\"{row}\", bound to {}", cus(id)),
        None => format!("\"{row}\", not bound"),
    }
}

fn words(row: &Row) -> String {
    let g = row.g;
    match row.st {
        St::Vacant => format!("vacant {g}"),
        St::Pending(req) => format!("pending {g} of {}", email(req.body)),
        St::InDoubt { conclusive, .. } if conclusive > 0 => {
            format!("in doubt {g}, not conclusive for {}", time(conclusive))
        }
        St::InDoubt { .. } => format!("in doubt {g}"),
        St::Rejected(req) => format!("rejected {g} of {}", email(req.body)),
        St::Provisioned(id) => format!("provisioned {g} with {}", cus(id)),
    }
}

fn done(before: &World, after: &World) -> String {
    match after.stripe.customers.len() {
        all if all > before.stripe.customers.len() => {
            format!("Stripe creates {}", cus(u8::try_from(all - 1).expect("few Customers")))
        }
        _ => "Stripe creates none".into(),
    }
}

fn request(req: Req) -> String {
    format!("key {} with {}", req.g, email(req.body))
}

fn email(body: Body) -> &'static str {
    match body {
        GOOD => "jane's address",
        BARE => "no address",
        _ => "richard's address",
    }
}

fn cus(id: Id) -> String {
    format!("cus_{id}")
}

fn time(minutes: Minutes) -> String {
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
