//! Short runs of operations that belong together, with everything that can vary in them left to
//! chance.
//!
//! What breaks a protocol like this is seldom one fault. It is a request that is late just before
//! its key is too old, or a deletion between an answer and its bind. Chance alone meets with such
//! pairs once in many thousand seeds; begun on purpose, and mixed with everything else, they come
//! in every hundred.

use std::time::Duration;

use crate::{
    generate::{ill, meddling, odd, unbindable},
    ops::{At, Fault, Mail, Op, Side, Their},
    rng::Rng,
    stripe::HEADERS,
    world::PROCESSES,
};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// As in `generate.rs`.
const LATEST: u64 = 178;

pub(crate) fn motif(rng: &mut Rng) -> Vec<Op> {
    let (one, two) = (process(rng), process(rng));
    match rng.between(0, 19) {
        0 => left_behind(rng, one, two),
        1 => too_old(rng, one, two),
        2 => deleted_meanwhile(rng, one, two),
        3 => gone_meanwhile(rng, one, two),
        4 => all_at_once(rng),
        5 => restored(rng, one, two),
        6 => overwritten(rng, one, two),
        7 => marked(rng, one, two),
        8 => decided_long_ago(rng, one, two),
        9..=10 => moved(rng, one, two),
        11 => not_kept(rng, one, two),
        12..=13 => remade(rng, one, two),
        14 => misread(rng, one, two),
        15..=17 => beside(rng, one, two),
        18 => edited(rng, one, two),
        _ => lost(rng, one, two),
    }
}

fn process(rng: &mut Rng) -> u8 {
    u8::try_from(rng.between(0, u64::from(PROCESSES) - 1)).expect("a small number")
}

fn call(rng: &mut Rng, process: u8) -> Op {
    let email = rng.pick(&[Mail::Good, Mail::Good, Mail::None, Mail::Other]);
    Op::Call { process, tenant: 0, email, patience: rng.pick(&[1, 10, 60]) }
}

fn pass(rng: &mut Rng, low: u64, high: u64) -> Op {
    Op::Pass(Duration::from_millis(rng.between(low, high)))
}

fn arm(process: u8, at: At, skip: u8, fault: Fault) -> Op {
    Op::Arm { process, at, skip, fault }
}

/// What may become of a first request.
fn first(rng: &mut Rng) -> Fault {
    let late = u8::try_from(rng.pick(&[1, 20, 100, 170, LATEST])).expect("minutes");
    let minutes = u8::try_from(rng.between(0, 10)).expect("minutes");
    rng.pick(&[
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::Crash(Side::Before),
        Fault::Crash(Side::After),
        Fault::Late { minutes: late, dies: true },
        Fault::Late { minutes: late, dies: false },
        Fault::Stored500 { effect: Some(minutes) },
        Fault::Stored500 { effect: None },
    ])
}

/// Inquiries that fail in part, or stand still in the middle.
fn bad_inquiry(rng: &mut Rng, process: u8) -> Vec<Op> {
    let seconds = u32::try_from(rng.between(1, 240)).expect("seconds");
    let odd = Fault::Odd { odd: odd(rng), done: true };
    let fault = [Fault::LoseAnswer, Fault::Unstored500, Fault::Limited, Fault::Mangle, odd];
    let fault = rng.pick(&fault);
    let skip = u8::try_from(rng.between(0, 3)).expect("a small number");
    match rng.between(0, 3) {
        0 => vec![arm(process, At::Ask, skip, Fault::Suspend(Side::After, seconds))],
        1 => vec![arm(process, At::Ask, skip, fault); 40],
        2 => vec![arm(process, At::Ask, skip, Fault::Crash(Side::After))],
        _ => Vec::new(),
    }
}

/// A failure that Stripe stored, and inquiries around the moment from which they can prove
/// something.
fn left_behind(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let minutes = u8::try_from(rng.between(0, 10)).expect("minutes");
    let effect = rng.pick(&[None, Some(minutes), Some(minutes), Some(10)]);
    let mut ops = vec![arm(one, At::Create, 0, Fault::Stored500 { effect }), call(rng, one)];
    ops.push(pass(rng, 7 * MINUTE, 12 * MINUTE));
    ops.extend(bad_inquiry(rng, two));
    ops.extend([Op::Recover { process: two }, pass(rng, MINUTE, 20 * MINUTE)]);
    ops.extend([Op::Recover { process: one }, pass(rng, MINUTE, 90 * MINUTE), call(rng, two)]);
    ops
}

/// A key that grows old, and requests that are late around the moments that count.
fn too_old(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let mut ops = vec![arm(one, At::Create, 0, first(rng)), call(rng, one)];
    let age = rng.pick(&[10, 19, 20, 22, 23, 24]);
    ops.push(pass(rng, age * HOUR - 10 * MINUTE, age * HOUR + 58 * MINUTE));
    ops.extend([arm(two, At::Create, 0, first(rng)), call(rng, two)]);
    // Mostly to the inquiry that may open the next generation.
    let rest = rng.pick(&[1, 25 - age, 25 - age, 26 - age]) * HOUR;
    ops.push(pass(rng, rest, rest + 50 * MINUTE));
    ops.extend(bad_inquiry(rng, two));
    ops.extend([Op::Recover { process: two }, pass(rng, MINUTE, 3 * HOUR), call(rng, one)]);
    ops
}

/// A Customer deleted between its creation and its bind, and the news of it in some order.
fn deleted_meanwhile(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let seconds = rng.pick(&[2, 20, 40, 55, 3_600]);
    let fault = rng.pick(&[
        Fault::Suspend(Side::After, seconds),
        Fault::Crash(Side::After),
        Fault::LoseAnswer,
        Fault::Stored500 { effect: Some(1) },
    ]);
    let mut ops = vec![arm(one, At::Create, 0, fault), call(rng, one), pass(rng, 500, 5_000)];
    let told = Op::DeliverDeleted { process: two, tenant: 0, nth: 0 };
    let news = [
        Op::Delete { tenant: 0, nth: 0 },
        told,
        Op::DeliverCreated { process: two, tenant: 0, nth: 0 },
        told,
        Op::HostNulls { tenant: 0 },
    ];
    for op in news {
        if !rng.one_in(4) {
            ops.extend([op, pass(rng, 0, 10_000)]);
        }
    }
    ops.push(call(rng, two));
    ops
}

/// A tenant that is gone while its request is under way, and comes back.
fn gone_meanwhile(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let mut ops = vec![arm(one, At::Create, 0, first(rng)), call(rng, one), pass(rng, 0, 40_000)];
    ops.extend([Op::Remove { tenant: 0 }, pass(rng, 0, 10_000), Op::Recover { process: two }]);
    let away = rng.pick(&[MINUTE, HOUR, 3 * HOUR, 5 * HOUR]);
    ops.push(pass(rng, away, away + 10 * MINUTE));
    if rng.one_in(2) {
        ops.extend([Op::Recover { process: two }, pass(rng, 0, MINUTE)]);
    }
    ops.extend([Op::Register { tenant: 0 }, call(rng, two), pass(rng, 0, HOUR)]);
    ops
}

/// Everybody at once, some standing still for a moment.
fn all_at_once(rng: &mut Rng) -> Vec<Op> {
    let mut ops = Vec::new();
    for process in 0..PROCESSES {
        let seconds = rng.pick(&[1, 3, 20, 50]);
        let side = rng.pick(&[Side::Before, Side::After]);
        let at = rng.pick(&[At::Read, At::Write, At::Create]);
        let skip = u8::try_from(rng.between(0, 3)).expect("a small number");
        if rng.one_in(2) {
            ops.push(arm(process, at, skip, Fault::Suspend(side, seconds)));
        }
        ops.extend([call(rng, process), pass(rng, 0, 300)]);
    }
    ops
}

/// A backup of a moment when something was under way.
fn restored(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let mut ops = vec![arm(one, At::Create, 0, first(rng)), call(rng, one), pass(rng, 0, MINUTE)];
    ops.extend([Op::Backup, pass(rng, 0, HOUR)]);
    ops.extend(if rng.one_in(2) { gone_meanwhile(rng, one, two) } else { vec![call(rng, two)] });
    ops.extend([pass(rng, 0, 12 * HOUR), Op::Restore, call(rng, two), pass(rng, 0, 6 * HOUR)]);
    ops.extend([Op::Recover { process: one }, call(rng, two)]);
    ops
}

/// A key with something behind it that no inquiry shows, a restored backup, and sends of the key
/// around the moment when Stripe forgets it.
fn marked(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let effect = Fault::Stored500 { effect: None };
    let mut ops = if rng.one_in(2) {
        vec![arm(one, At::Create, 0, effect), call(rng, one), pass(rng, 0, HOUR)]
    } else {
        let told = Op::DeliverDeleted { process: two, tenant: 0, nth: 0 };
        let deleted = Op::Delete { tenant: 0, nth: 0 };
        vec![call(rng, one), pass(rng, 2_000, HOUR), deleted, told]
    };
    ops.extend([pass(rng, 16 * HOUR, 19 * HOUR), Op::Restore, call(rng, two)]);
    ops.extend([pass(rng, 5 * HOUR, 5 * HOUR + 10 * MINUTE), Op::Recover { process: one }]);
    let minutes = u8::try_from(rng.pick(&[60, 120, LATEST])).expect("minutes");
    ops.push(arm(two, At::Create, 0, Fault::Late { minutes, dies: rng.one_in(2) }));
    ops.extend([call(rng, two), pass(rng, 0, 2 * MINUTE), call(rng, one)]);
    ops.extend([pass(rng, 11 * MINUTE, HOUR), Op::Recover { process: one }, pass(rng, 0, HOUR)]);
    ops
}

/// A process that stands still between deciding and writing, while the tenant comes back.
fn decided_long_ago(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let mut ops = vec![arm(one, At::Create, 0, first(rng)), call(rng, one), pass(rng, 0, MINUTE)];
    ops.push(Op::Remove { tenant: 0 });
    let seconds = rng.pick(&[90, 1_800, 5 * 3_600, 6 * 3_600]);
    let skip = u8::try_from(rng.between(0, 3)).expect("a small number");
    ops.push(arm(two, At::Write, skip, Fault::Suspend(Side::Before, seconds)));
    ops.extend([Op::Recover { process: two }, pass(rng, 0, HOUR), Op::Register { tenant: 0 }]);
    ops.push(pass(rng, 4 * HOUR, 6 * HOUR));
    ops.extend([arm(one, At::Create, 0, first(rng)), call(rng, one), pass(rng, 0, HOUR)]);
    ops.extend([Op::Recover { process: one }, pass(rng, 0, 3 * HOUR)]);
    ops
}

/// A host that binds a Customer of its own while one is made.
fn overwritten(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let seconds = u8::try_from(rng.between(1, 20)).expect("seconds");
    let fault = rng.pick(&[Fault::Slow { seconds }, Fault::Suspend(Side::After, 20)]);
    let mut ops = vec![arm(one, At::Create, 0, fault), call(rng, one), pass(rng, 200, 4_000)];
    ops.extend([Op::HostOverwrites { tenant: 0 }, pass(rng, 0, MINUTE), call(rng, two)]);
    ops
}

/// A Customer that the host moves into another tenant's column, before or after it is bound, while
/// something makes its own tenant come across it again.
fn moved(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let mut ops = Vec::new();
    if rng.one_in(2) {
        // With the answer at hand, the process may not know yet that the column holds it.
        let fault = first(rng);
        let fault = rng.pick(&[fault, Fault::Suspend(Side::After, 20)]);
        ops.push(arm(one, At::Create, 0, fault));
    }
    ops.extend([call(rng, one), pass(rng, 500, 5 * MINUTE), Op::HostMoves { tenant: 0, nth: 0 }]);
    let lost = Op::LoseRow { tenant: 0 };
    let overwritten = Op::HostOverwrites { tenant: 0 };
    ops.push(rng.pick(&[lost, lost, overwritten, Op::Recover { process: two }]));
    let created = Op::DeliverCreated { process: two, tenant: 0, nth: 0 };
    let again = call(rng, two);
    ops.push(rng.pick(&[created, created, again, Op::Recover { process: one }]));
    ops.extend([pass(rng, 0, 6 * HOUR), call(rng, two), pass(rng, 0, MINUTE)]);
    if rng.one_in(2) {
        ops.extend([Op::HostMoves { tenant: 0, nth: 0 }, call(rng, one)]);
    }
    ops
}

/// A Customer that cannot be bound, or not be written down, for a while.
fn not_kept(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let ill = ill(rng);
    let ails = Op::Ail { ill, at: At::Write, seconds: rng.pick(&[2, 60, 3_600, 80_000]) };
    let ails = if rng.one_in(2) { unbindable(rng) } else { ails };
    let mut ops = Vec::new();
    if rng.one_in(2) {
        ops.extend([call(rng, one), pass(rng, 0, 700), ails]);
    } else {
        ops.extend([ails, call(rng, one)]);
    }
    ops.extend([pass(rng, 0, MINUTE), call(rng, two), pass(rng, 0, 2 * HOUR)]);
    ops.extend([Op::Recover { process: two }, pass(rng, 0, 24 * HOUR), call(rng, one)]);
    ops
}

/// Our tables are made anew while something is under way.
fn remade(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let suspended = Fault::Suspend(Side::After, rng.pick(&[2, 20, 3_600]));
    let fault = first(rng);
    let fault = rng.pick(&[fault, suspended]);
    let at = rng.pick(&[At::Create, At::Create, At::Write, At::Read]);
    let fault = if at == At::Create { fault } else { suspended };
    let mut ops = vec![arm(one, at, 0, fault), call(rng, one), pass(rng, 0, 2_000)];
    let remake = Op::Remake { known: rng.one_in(3) };
    ops.extend([remake, pass(rng, 0, MINUTE), call(rng, two), pass(rng, 0, 6 * HOUR)]);
    let created = Op::DeliverCreated { process: two, tenant: 0, nth: 0 };
    ops.push(rng.pick(&[created, Op::HostNulls { tenant: 0 }, Op::Recover { process: one }]));
    ops.extend([pass(rng, 0, HOUR), call(rng, two), pass(rng, 0, MINUTE)]);
    ops
}

/// Answers that are no Customer, to one creation after another, and headers that say nothing.
fn misread(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let mut ops = Vec::new();
    for process in [one, two] {
        let headers = rng.between(0, HEADERS.len() as u64 - 1);
        let header = Fault::Header(u8::try_from(headers).expect("a small number"));
        let odd = Fault::Odd { odd: odd(rng), done: rng.one_in(2) };
        for fault in [header, odd] {
            let at = rng.pick(&[At::Create, At::Create, At::Ask]);
            ops.push(arm(process, at, 0, fault));
        }
        ops.extend([call(rng, process), pass(rng, 0, HOUR)]);
    }
    ops.extend([Op::Recover { process: two }, pass(rng, 0, 24 * HOUR), call(rng, one)]);
    ops
}

/// A second application or a copy, begun while something is under way, whose Customers the first
/// one comes across.
fn beside(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let theirs = Op::Theirs(Their::Call { tenant: 0 });
    let mut ops = Vec::new();
    if rng.one_in(2) {
        ops.push(arm(one, At::Create, 0, first(rng)));
    }
    ops.extend([call(rng, one), pass(rng, 0, MINUTE), rng.pick(&[Op::Second, Op::Copy])]);
    if rng.one_in(2) {
        ops.extend([theirs, pass(rng, 0, MINUTE)]);
    }
    ops.push(Op::Afresh { keep: rng.one_in(2) });
    if rng.one_in(2) {
        ops.push(arm(PROCESSES, At::Create, 0, first(rng)));
    }
    ops.extend([theirs, pass(rng, 0, HOUR), Op::Theirs(Their::Recover)]);
    let lost = [Op::LoseRow { tenant: 0 }, Op::HostNulls { tenant: 0 }];
    let deleted =
        [Op::Delete { tenant: 0, nth: 0 }, Op::Meddle { tenant: 0, nth: 1, how: meddling(rng) }];
    ops.extend(rng.pick(&[lost, deleted]));
    if rng.one_in(3) {
        ops.push(Op::Declare);
    }
    ops.extend([call(rng, two), pass(rng, 0, 26 * HOUR), Op::Recover { process: two }, theirs]);
    ops
}

/// Metadata that somebody edits while the tenant is in doubt.
fn edited(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let mut ops = vec![arm(one, At::Create, 0, first(rng)), call(rng, one)];
    ops.push(pass(rng, 2 * HOUR, 30 * HOUR));
    ops.push(Op::Meddle { tenant: 0, nth: 0, how: meddling(rng) });
    ops.push(rng.pick(&[Op::LoseRow { tenant: 0 }, Op::Recover { process: two }]));
    let tenant = u8::from(rng.one_in(2));
    ops.push(Op::Call { process: two, tenant, email: Mail::Good, patience: 60 });
    ops.extend([pass(rng, 0, 3 * HOUR), call(rng, one), pass(rng, 0, HOUR)]);
    ops
}

/// A row that somebody deletes while its request is on its way.
fn lost(rng: &mut Rng, one: u8, two: u8) -> Vec<Op> {
    let mut ops = vec![arm(one, At::Create, 0, first(rng)), call(rng, one)];
    ops.extend([pass(rng, 0, 3 * HOUR), Op::LoseRow { tenant: 0 }, pass(rng, 0, HOUR)]);
    ops.extend([arm(two, At::Create, 0, first(rng)), call(rng, two), pass(rng, 0, 15 * HOUR)]);
    ops.extend(bad_inquiry(rng, one));
    ops.extend([Op::Recover { process: one }, call(rng, one), pass(rng, 0, 15 * HOUR)]);
    ops
}
