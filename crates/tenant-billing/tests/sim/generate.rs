//! Plans by chance, within what the promises assume.
//!
//! Each seed leaves out about half of all kinds of operations, so that those that are in meet each
//! other more often. What is never generated, and why, is said where it is left out; five
//! restrictions depend on the moment and stand where it is known (`NOT_EDITED`, `DECIDES`, `restore`,
//! and in `metadata.rs` `SHOWS` and who may lose a mark).

use std::time::Duration;

use tenant_billing::Unmarked;

use crate::{
    host::TENANTS,
    motifs::motif,
    ops::{At, Fault, Ill, Key, Mail, Meddling, Odd, Op, Plan, Settings, Side, Stranger, Their},
    rng::Rng,
    stripe::HEADERS,
    world::PROCESSES,
};

/// Assumed: from reading a key's age to Stripe's executing the request at most 3 h pass. A body
/// leaves within 30 s of the reading, and Stripe takes its time too.
const LATEST: u64 = 178;
/// Assumed: events and search are at most an hour behind.
const LONGEST_LAG: u64 = 60;
/// Assumed: a failure that Stripe stored shows what it left behind within 10 minutes.
const LEFT_BEHIND: u64 = 10;

/// The kinds of operations, as bits of what a seed plays with.
const KINDS: u32 = 25;

/// How often chance is asked again for a kind that this seed plays with.
const TRIES: u32 = 12;

struct Generator {
    rng: Rng,
    kinds: u64,
    settings: Settings,
    /// Who makes the next call.
    caller: Option<u8>,
    passed: Duration,
}

pub(crate) fn plan(seed: u64) -> Plan {
    use Unmarked::{Adopt, Ignore, Stop};
    let mut rng = Rng::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
    let settings = Settings {
        seed: rng.next(),
        live: rng.one_in(2),
        search: !rng.one_in(3),
        // Assumed: Stripe remembers a key for at least 24 h.
        key_hours: rng.pick(&[24, 24, 24, 30, 720]),
        page: rng.pick(&[1, 2, 100]),
        lag: u8::try_from(rng.between(0, LONGEST_LAG)).expect("minutes"),
        inquire_first: rng.one_in(4),
        unmarked: rng.pick(&[None, Some(Adopt), Some(Stop), Some(Ignore)]),
        unmarked_are_theirs: rng.one_in(2),
        user_key: rng.one_in(3),
    };
    let kinds = rng.next() & rng.pick(&[u64::MAX, rng.clone().next()]);
    let mut generator = Generator { rng, kinds, settings, caller: None, passed: Duration::ZERO };
    let length = generator.rng.between(2, 20);
    let mut ops = Vec::new();
    for _ in 0..length {
        let step = if generator.may_lose() && generator.rng.one_in(10) {
            motif(&mut generator.rng)
        } else {
            generator.step()
        };
        let passes = step.iter().filter_map(|op| match op {
            Op::Pass(time) => Some(*time),
            _ => None,
        });
        generator.passed += passes.sum::<Duration>();
        ops.extend(step);
    }
    Plan { settings, ops }
}

impl Generator {
    fn has(&self, kind: u32) -> bool {
        self.kinds >> (kind % KINDS) & 1 == 1
    }

    fn process(&mut self) -> u8 {
        small(&mut self.rng, u64::from(PROCESSES) - 1)
    }

    /// Mostly the first: what happens to one tenant is what interacts.
    fn tenant(&mut self) -> u8 {
        if self.rng.one_in(6) { small(&mut self.rng, u64::from(TENANTS) - 1) } else { 0 }
    }

    fn step(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        match self.rng.between(0, 9) {
            0..=2 => ops.push(self.call()),
            3 => ops.push(Op::Recover { process: self.process() }),
            4..=5 => {
                ops.extend((0..TRIES).find_map(|_| self.fault()));
                ops.push(self.call());
            }
            _ => ops.extend((0..TRIES).find_map(|_| self.event())),
        }
        ops.push(Op::Pass(self.time()));
        ops
    }

    fn call(&mut self) -> Op {
        let email =
            self.rng.pick(&[Mail::Good, Mail::Good, Mail::Other, Mail::None, Mail::Rejected]);
        let email = if self.has(0) { email } else { Mail::Good };
        let patience = self.rng.pick(&[1, 10, 10, 60, 600]);
        let process = self.caller.take().unwrap_or_else(|| self.process());
        Op::Call { process, tenant: self.tenant(), email, patience }
    }

    /// Whether rows may be lost and backups restored.
    fn may_lose(&self) -> bool {
        self.settings.search || self.has(9) || self.has(10)
    }

    /// Known limit: a row lost or restored more than 30 days on, in an account without search. So a
    /// seed without search has either these, and a fortnight or little more, or months.
    fn is_short(&self) -> bool {
        !self.settings.search && self.may_lose()
    }

    fn time(&mut self) -> Duration {
        const HOUR: u64 = 3_600_000;
        const FORTNIGHT: Duration = Duration::from_secs(14 * 24 * 3_600);
        let ms = match self.rng.between(0, 15) {
            _ if self.is_short() && self.passed > FORTNIGHT => self.rng.between(0, 40),
            0..=3 => self.rng.between(0, 40),
            4..=6 => self.rng.between(40, 800),
            7..=8 => self.rng.between(1_000, 40_000),
            9..=10 => self.rng.between(60_000, 90 * 60_000),
            11..=12 => self.rng.between(HOUR, 6 * HOUR),
            13 => self.rng.pick(&[3, 5, 10, 20, 23, 24, 25]) * HOUR + self.rng.between(0, 120_000),
            14 => self.rng.between(HOUR, 72 * HOUR),
            _ if !self.is_short() && self.rng.one_in(3) => {
                self.rng.between(29 * 24 * HOUR, 32 * 24 * HOUR)
            }
            _ => self.rng.between(0, 30 * HOUR),
        };
        Duration::from_millis(ms)
    }

    fn fault(&mut self) -> Option<Op> {
        let side = self.rng.pick(&[Side::Before, Side::After]);
        let seconds = self.standstill();
        let late = self.rng.pick(&[1, 30, 100, LATEST]);
        let late = u8::try_from(late).expect("minutes");
        let (at, fault) = match self.rng.between(0, 21) {
            0..=1 if self.has(1) => (self.port(), Fault::Crash(side)),
            2..=3 if self.has(2) => (self.port(), Fault::Suspend(side, seconds)),
            4..=5 if self.has(3) => {
                let done = self.rng.one_in(2);
                (self.rng.pick(&[At::Write, At::Write, At::Read]), Fault::Database { done })
            }
            6 => (self.rng.pick(&[At::Create, At::Create, At::Ask]), Fault::LoseRequest),
            7..=8 => (self.rng.pick(&[At::Create, At::Create, At::Ask]), Fault::LoseAnswer),
            9 => (self.rng.pick(&[At::Create, At::Ask]), Fault::Mangle),
            10..=11 if self.has(4) => {
                (At::Create, Fault::Late { minutes: late, dies: self.rng.one_in(2) })
            }
            12..=13 if self.has(5) => {
                let effect = small(&mut self.rng, LEFT_BEHIND);
                let effect = self.rng.pick(&[None, Some(0), Some(effect)]);
                (At::Create, Fault::Stored500 { effect })
            }
            14 => (self.rng.pick(&[At::Create, At::Ask]), Fault::Unstored500),
            15 => (self.rng.pick(&[At::Create, At::Ask]), Fault::Limited),
            16 => (At::Create, Fault::InFlight),
            17 => (At::Create, Fault::Slow { seconds: small(&mut self.rng, 50) }),
            18..=19 if self.has(17) => {
                (self.rng.pick(&[At::Write, At::Write, At::Read]), Fault::Store(ill(&mut self.rng)))
            }
            20 if self.has(18) => {
                let (odd, done) = (odd(&mut self.rng), self.rng.one_in(2));
                (self.rng.pick(&[At::Create, At::Create, At::Ask]), Fault::Odd { odd, done })
            }
            21 if self.has(19) => {
                let nth = small(&mut self.rng, HEADERS.len() as u64 - 1);
                (self.rng.pick(&[At::Create, At::Create, At::Ask]), Fault::Header(nth))
            }
            _ => return None,
        };
        let skip = if at == At::Create { 0 } else { small(&mut self.rng, 7) };
        let process = self.process();
        // The call that follows is mostly the one that meets with it.
        self.caller = (!self.rng.one_in(4)).then_some(process);
        Some(Op::Arm { process, at, skip, fault })
    }

    /// Shorter and longer than a decision lasts, a key may be sent, Stripe remembers it.
    fn standstill(&mut self) -> u32 {
        const MINUTE: u32 = 60;
        const HOUR: u32 = 60 * MINUTE;
        let around = [2, 8, 28, 58, 2 * MINUTE, 11 * MINUTE, HOUR, 3 * HOUR, 5 * HOUR, 21 * HOUR];
        self.rng.pick(&[&around[..], &[24 * HOUR, 26 * HOUR]].concat())
    }

    fn port(&mut self) -> At {
        self.rng.pick(&[At::Any, At::Read, At::Write, At::Create, At::Ask])
    }

    /// Something that others do.
    fn event(&mut self) -> Option<Op> {
        let (process, tenant) = (self.process(), self.tenant());
        let nth = small(&mut self.rng, 3);
        Some(match self.rng.between(0, 42) {
            0..=1 if self.has(1) => Op::Crash { process },
            2 if self.has(2) => Op::Suspend { process, seconds: self.standstill() },
            3..=5 if self.has(6) => Op::Delete { tenant, nth },
            6..=7 if self.has(6) => Op::DeliverDeleted { process, tenant, nth },
            8..=9 if self.has(7) => Op::DeliverCreated { process, tenant, nth },
            10 if self.has(8) => Op::Edit { tenant, nth },
            11 => Op::Lag { minutes: small(&mut self.rng, LONGEST_LAG) },
            12..=13 if self.has(9) => Op::LoseRow { tenant },
            14 if self.has(10) => Op::Backup,
            15 if self.has(10) => Op::Restore,
            16 if self.has(11) => Op::HostNulls { tenant },
            17 if self.has(11) => Op::HostOverwrites { tenant },
            18..=19 if self.has(12) => Op::Remove { tenant },
            20..=21 if self.has(12) => Op::Register { tenant },
            22 if self.has(13) => Op::Unbind { process, tenant },
            23 if self.has(14) => {
                let key = self.rng.pick(&[Key::Own, Key::OtherAccount, Key::OtherMode]);
                Op::Key { process, key }
            }
            24 if self.has(15) => Op::Stranger { tenant, kind: self.stranger() },
            25..=27 if self.has(16) => Op::HostMoves { tenant, nth },
            28..=29 if self.has(17) => Op::Ail {
                ill: ill(&mut self.rng),
                at: self.rng.pick(&[At::Read, At::Write, At::Any]),
                seconds: a_while(&mut self.rng),
            },
            30 if self.has(20) => unbindable(&mut self.rng),
            31..=32 if self.has(21) => Op::Remake { known: self.rng.one_in(3) },
            33 if self.has(22) => Op::Second,
            34 if self.has(23) => Op::Copy,
            35 if self.has(23) => Op::Afresh { keep: self.rng.one_in(2) },
            36 if self.has(22) || self.has(23) => Op::Declare,
            37..=39 if self.has(22) || self.has(23) => Op::Theirs(their(&mut self.rng, tenant)),
            40..=42 if self.has(24) => Op::Meddle { tenant, nth, how: meddling(&mut self.rng) },
            _ => return None,
        })
    }

    fn stranger(&mut self) -> Stranger {
        use Stranger::{
            Legacy, LegacyUser, OtherInstallation, OtherSoftware, OtherTenant, OtherUser, SameEmail,
        };
        let Settings { inquire_first, unmarked, unmarked_are_theirs, user_key, .. } = self.settings;
        let adopts = !matches!(unmarked, Some(Unmarked::Stop | Unmarked::Ignore));
        let mut kinds = vec![SameEmail, OtherTenant, OtherInstallation];
        if unmarked_are_theirs && !adopts {
            kinds.extend([OtherSoftware, OtherUser]);
        } else if inquire_first {
            // In an account with Customers from before, an inquiry is made first.
            kinds.push(Legacy);
            if user_key {
                kinds.push(LegacyUser);
            }
        } else if !user_key {
            kinds.push(OtherUser);
        }
        self.rng.pick(&kinds)
    }
}

pub(crate) fn ill(rng: &mut Rng) -> Ill {
    use Ill::{
        Corrupt, Refused, SchemaMismatch, SchemaMissing, SchemaTooNew, SchemaTooOld, Unavailable,
    };
    let schema = [SchemaMissing, SchemaTooOld, SchemaTooNew, SchemaMismatch];
    rng.pick(&[&schema[..], &[Unavailable, Refused, Corrupt]].concat())
}

pub(crate) fn meddling(rng: &mut Rng) -> Meddling {
    rng.pick(&[Meddling::Unmark, Meddling::Unname, Meddling::Rename, Meddling::Respell])
}

fn their(rng: &mut Rng, tenant: u8) -> Their {
    let call = Their::Call { tenant };
    rng.pick(&[call, call, call, Their::Recover, Their::Delete { tenant }, Their::Crash])
}

pub(crate) fn odd(rng: &mut Rng) -> Odd {
    rng.pick(&[Odd::Account, Odd::Deleted, Odd::Stranger])
}

/// A trigger that keeps Customers out of the column for a while.
pub(crate) fn unbindable(rng: &mut Rng) -> Op {
    let ill = rng.pick(&[Ill::BindRefused, Ill::BindSwallowed]);
    Op::Ail { ill, at: At::Write, seconds: a_while(rng) }
}

fn a_while(rng: &mut Rng) -> u32 {
    rng.pick(&[1, 10, 60, 600, 3_600, 6 * 3_600])
}

fn small(rng: &mut Rng, most: u64) -> u8 {
    u8::try_from(rng.between(0, most)).expect("a small number")
}
