//! What all parts of a run share: virtual time, chance, faults on order, and the record.
//!
//! Time is tokio's paused clock on one thread: it moves only when nobody has anything left to do,
//! and then straight to the next timer. So a month costs nothing, and the same seed runs the same
//! way.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tenant_billing::ports::Clock;
use tokio::time::Instant;

use crate::{
    book::Book,
    ops::{At, Fault, Ill, Settings, Side},
    rng::Rng,
    world::PROCESSES,
};

/// More calls of ports than any honest run makes; beyond it something spins.
const SPIN: u64 = 400_000;

pub(crate) struct Sim {
    pub(crate) settings: Settings,
    start: Instant,
    state: Mutex<State>,
    tracing: bool,
}

pub(crate) struct State {
    pub(crate) rng: Rng,
    pub(crate) book: Book,
    pub(crate) armed: Vec<Armed>,
    pub(crate) trace: Vec<String>,
    pub(crate) broken: Vec<String>,
    /// When each process last read each tenant.
    pub(crate) views: BTreeMap<(u64, String), Timestamp>,
    /// What the columns of all tenants held each time that a process read a tenant: by the process,
    /// the tenant and the time of the view.
    pub(crate) held: BTreeMap<(u64, String, Timestamp), BTreeSet<String>>,
    /// Creations that left a process: when, from which, and for whom.
    pub(crate) sends: Vec<(Timestamp, u64, String)>,
    /// What each process knew of each tenant.
    pub(crate) seen: Vec<Seen>,
    /// What ails the database for a while: what, at which calls, and until when.
    pub(crate) ails: Option<(Ill, At, Timestamp)>,
    /// The troubles that processes were told of: when, which process, and the trouble's name.
    pub(crate) told: Vec<(Timestamp, u64, &'static str)>,
    /// When our tables were last made anew, and the installation that they are of.
    pub(crate) remade: Option<(Timestamp, String)>,
    /// Which of the two databases sends the keys of an installation: whether it is the second.
    pub(crate) senders: BTreeMap<String, bool>,
    pub(crate) port_calls: u64,
}

/// What a process has read or written of a tenant.
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) process: u64,
    pub(crate) tenant: String,
    /// When the tables that it has it from were made anew, if they were.
    pub(crate) tables: Option<Timestamp>,
    /// Whether it shows that something was begun, or may have been.
    pub(crate) begun: bool,
}

/// A fault on order.
pub(crate) struct Armed {
    pub(crate) process: u8,
    pub(crate) at: At,
    pub(crate) skip: u8,
    pub(crate) fault: Fault,
}

impl Sim {
    #[expect(clippy::disallowed_methods, reason = "this file owns the simulation's clock")]
    pub(crate) fn new(settings: Settings, book: Book, tracing: bool) -> Arc<Self> {
        let state = State {
            rng: Rng::new(settings.seed),
            book,
            armed: Vec::new(),
            trace: Vec::new(),
            broken: Vec::new(),
            views: BTreeMap::new(),
            held: BTreeMap::new(),
            sends: Vec::new(),
            seen: Vec::new(),
            ails: None,
            told: Vec::new(),
            remade: None,
            senders: BTreeMap::new(),
            port_calls: 0,
        };
        Arc::new(Self { settings, start: Instant::now(), state: Mutex::new(state), tracing })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "this file owns the simulation's clock")]
    pub(crate) fn uptime(&self) -> Duration {
        Instant::now() - self.start
    }

    pub(crate) fn now(&self) -> Timestamp {
        beginning() + SignedDuration::try_from(self.uptime()).expect("a run of some years at most")
    }

    #[expect(clippy::disallowed_methods, reason = "this file owns the simulation's clock")]
    pub(crate) async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub(crate) fn between(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.state().rng.between(low, high))
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.tracing {
            let at = SignedDuration::try_from(self.uptime()).expect("a run of some years at most");
            let (hours, minutes) = (at.as_hours(), at.as_mins() % 60);
            let (seconds, ms) = (at.as_secs() % 60, at.subsec_millis());
            let line = line();
            let line = format!("{hours:>4}:{minutes:02}:{seconds:02}.{ms:03}  {line}");
            self.state().trace.push(line);
        }
    }

    /// What ails the database now, at such a call.
    pub(crate) fn ill(&self, at: At) -> Option<Ill> {
        let (now, ails) = (self.now(), self.state().ails);
        let met = |it: &(Ill, At, Timestamp)| now < it.2 && (it.1 == at || it.1 == At::Any);
        ails.filter(met).map(|it| it.0)
    }

    /// A process is told of a trouble of this name.
    pub(crate) fn tell(&self, process: u64, trouble: &'static str) {
        let now = self.now();
        self.state().told.push((now, process, trouble));
    }

    /// A promise is broken; the run says so at its end.
    pub(crate) fn broken(&self, what: String) {
        self.trace(|| format!("BROKEN: {what}"));
        self.state().broken.push(what);
    }
}

pub(crate) fn beginning() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a moment")
}

/// Whether a process runs, and the one way of its port calls.
pub(crate) struct Gate {
    /// The place it runs in, which faults are ordered for.
    pub(crate) process: u8,
    /// No other process has this number, also not the next one in the same place.
    pub(crate) number: u64,
    dead: AtomicBool,
    until_ms: AtomicU64,
}

impl Gate {
    pub(crate) fn new(process: u8, number: u64) -> Arc<Self> {
        let (dead, until_ms) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { process, number, dead, until_ms })
    }

    /// Whether it is a process of the second application.
    pub(crate) fn is_of_the_second(&self) -> bool {
        self.process >= PROCESSES
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Nothing that this process does happens any more.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn suspend(&self, sim: &Sim, seconds: u32) {
        let until = sim.uptime() + Duration::from_secs(seconds.into());
        let until = u64::try_from(until.as_millis()).expect("a run of some years at most");
        self.until_ms.fetch_max(until, Ordering::SeqCst);
    }

    pub(crate) fn wake(&self) {
        self.until_ms.store(0, Ordering::SeqCst);
    }

    /// Waits while the process is suspended; forever if it is dead.
    pub(crate) async fn open(&self, sim: &Sim) {
        loop {
            if self.is_dead() {
                return pending().await;
            }
            let until = Duration::from_millis(self.until_ms.load(Ordering::SeqCst));
            // In steps of a minute, so that a process can be woken before its time.
            let left = until.saturating_sub(sim.uptime()).min(Duration::from_secs(60));
            if left.is_zero() {
                return;
            }
            sim.sleep(left).await;
        }
    }

    /// A call of a port begins: it takes a moment, and may meet with a fault.
    pub(crate) async fn enter(&self, sim: &Sim, at: At, ms: (u64, u64)) -> Option<Fault> {
        sim.sleep(sim.between(ms.0, ms.1)).await;
        self.open(sim).await;
        let fault = self.fault(sim, at);
        match fault {
            Some(Fault::Crash(Side::Before)) => {
                self.kill();
                self.open(sim).await;
            }
            Some(Fault::Suspend(Side::Before, seconds)) => {
                self.suspend(sim, seconds);
                self.open(sim).await;
            }
            _ => {}
        }
        fault
    }

    /// A call of a port has had its effect and comes back.
    pub(crate) async fn leave(&self, sim: &Sim, fault: Option<Fault>) {
        match fault {
            Some(Fault::Crash(Side::After)) => self.kill(),
            Some(Fault::Suspend(Side::After, seconds)) => self.suspend(sim, seconds),
            _ => {}
        }
        self.open(sim).await;
    }

    fn fault(&self, sim: &Sim, at: At) -> Option<Fault> {
        let fault = {
            let mut state = sim.state();
            state.port_calls += 1;
            if state.port_calls == SPIN {
                state.broken.push("it spins: too many calls of ports".into());
            }
            if state.port_calls >= SPIN {
                self.kill();
            }
            let mut due = None;
            for (index, armed) in state.armed.iter_mut().enumerate() {
                if armed.process != self.process || !(armed.at == at || armed.at == At::Any) {
                    continue;
                }
                match armed.skip.checked_sub(1) {
                    Some(fewer) => armed.skip = fewer,
                    None if due.is_none() => due = Some(index),
                    None => {}
                }
            }
            due.map(|index| state.armed.remove(index).fault)
        };
        if let Some(fault) = fault {
            sim.trace(|| format!("p{} meets with {fault:?} at {at:?}", self.process));
        }
        fault
    }
}

/// The clock of one process, which stands still with it.
pub(crate) struct SimClock {
    pub(crate) sim: Arc<Sim>,
    pub(crate) gate: Arc<Gate>,
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.sim.now()
    }

    fn uptime(&self) -> Duration {
        self.sim.uptime()
    }

    fn random(&self) -> u64 {
        self.sim.state().rng.next()
    }

    async fn sleep(&self, time: Duration) {
        self.sim.sleep(time).await;
        self.gate.open(&self.sim).await;
    }
}
