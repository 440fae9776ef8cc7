//! A whole small world: one database, one Stripe, three processes of the shipped software, perhaps a
//! second application (`second.rs`), and everybody else (`others.rs`, `metadata.rs`). When it is
//! dropped it brings itself to rest and asserts the promises.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::resume_unwind,
    sync::Arc,
    thread,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tenant_billing::{
    Billing, Policy, SqliteStore, Unmarked,
    ids::{MetadataKey, TenantId},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    book::Book,
    customer::USER_KEY,
    deeds::{Call, Deeds, What},
    host::{Host, TENANTS, tenant},
    ops::{Key, Mail, Op, Settings},
    second::Second,
    sim::{Armed, Gate, Sim, SimClock},
    store::SimStore,
    stripe::SimStripe,
};

pub(crate) const PROCESSES: u8 = 3;

/// Known limit: a stored 500 whose Customer somebody edits while Stripe's events are behind. Ten
/// minutes until it shows, an hour for the events, and time for an inquiry.
const NOT_EDITED: SignedDuration = SignedDuration::from_hours(2);
/// What broke, with the record of the run.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) what: Vec<String>,
    pub(crate) trace: Vec<String>,
}

pub(crate) struct Process {
    pub(crate) gate: Arc<Gate>,
    pub(crate) billing: Billing,
    key: Key,
}

/// What somebody did to a tenant that the promises do not cover, or that changes what they say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    pub(crate) row_lost: bool,
    /// Our tables were made anew while something was under way.
    pub(crate) remade_midway: bool,
    /// The host wrote its column, or deleted the tenant.
    pub(crate) by_host: bool,
    /// Customers that the host has moved into this tenant's column, whose ever they are.
    pub(crate) given: BTreeSet<String>,
    pub(crate) unbound: bool,
    pub(crate) foreign: bool,
    /// A Customer without our mark names it.
    pub(crate) unmarked: bool,
    /// When the tenant was not there.
    pub(crate) gone: Vec<(Timestamp, Option<Timestamp>)>,
}

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) sim: Arc<Sim>,
    pub(crate) host: Host,
    pub(crate) processes: Vec<Option<Process>>,
    pub(crate) second: Option<Second>,
    pub(crate) deeds: Arc<Deeds>,
    pub(crate) touched: BTreeMap<TenantId, Touched>,
    pub(crate) restored_at: Option<Timestamp>,
    pub(crate) backed_up_at: Option<Timestamp>,
    /// Our tables were made anew; whether there is at most one Customer all the same.
    pub(crate) remade: Option<bool>,
    /// What processes do about Customers without our mark from now on.
    pub(crate) unmarked: Option<Unmarked>,
    started: u64,
    pub(crate) at_rest: bool,
}

impl World {
    pub(crate) fn new(settings: Settings, tracing: bool) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let book = Book::new(settings.live, settings.key_hours, settings.page, settings.lag);
        let sim = runtime.block_on(async { Sim::new(settings, book, tracing) });
        Self {
            runtime,
            sim,
            host: Host::new(settings.live),
            processes: (0..PROCESSES).map(|_| None).collect(),
            second: None,
            deeds: Arc::default(),
            touched: (0..TENANTS).map(|it| (tenant(it), Touched::default())).collect(),
            restored_at: None,
            backed_up_at: None,
            remade: None,
            unmarked: settings.unmarked,
            started: 0,
            at_rest: false,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.runtime.block_on(async { self.sim.now() })
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.runtime.block_on(self.sim.sleep(time));
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        self.runtime.block_on(async { self.sim.trace(line) });
    }

    /// The process in this place, started anew if it is dead.
    pub(crate) fn process(&mut self, place: u8) -> &Process {
        let at = usize::from(place % PROCESSES);
        let slot = self.processes[at].as_ref();
        if slot.is_none_or(|it| it.gate.is_dead()) {
            let key = slot.map_or(Key::Own, |it| it.key);
            self.start(place, key);
        }
        self.processes[at].as_ref().expect("it was started")
    }

    pub(crate) fn start(&mut self, place: u8, key: Key) {
        let place = place % PROCESSES;
        self.kill(place);
        // After a restored backup every process makes an inquiry first, until a reconcile has run,
        // which it never does here.
        let user_key = self.sim.settings.user_key.then(|| MetadataKey::parse(USER_KEY));
        let policy = Policy {
            inquire_first: self.sim.settings.inquire_first || self.restored_at.is_some(),
            restored_at: self.restored_at,
            unmarked: self.unmarked,
            tenant_metadata_keys: user_key.into_iter().map(|it| it.expect("a key")).collect(),
            ..Policy::default()
        };
        let process = self.launch(place, key, policy);
        self.processes[usize::from(place)] = Some(process);
    }

    /// A process in this place, beyond the first three of the second application.
    pub(crate) fn launch(&mut self, place: u8, key: Key, policy: Policy) -> Process {
        self.started += 1;
        self.trace(|| format!("p{place} starts"));
        let gate = Gate::new(place, self.started);
        let second = self.second.as_ref().filter(|_| place >= PROCESSES);
        let (host, copied) =
            second.map_or((&self.host, false), |it| (&it.host, it.is_undeclared()));
        let clock = Arc::new(SimClock { sim: Arc::clone(&self.sim), gate: Arc::clone(&gate) });
        let inner = SqliteStore::open(&host.path).expect("a store").with_clock(clock.clone());
        let (sim, at) = (Arc::clone(&self.sim), Arc::clone(&gate));
        let store = SimStore { sim, gate: at, inner, columns: host.columns(), copied };
        let (sim, at) = (Arc::clone(&self.sim), Arc::clone(&gate));
        let stripe = SimStripe { sim, gate: at, clock, key };
        let billing = Billing::with_policy(store, stripe, policy);
        Process { gate, billing, key }
    }

    pub(crate) fn kill(&mut self, place: u8) {
        if let Some(process) = &self.processes[usize::from(place % PROCESSES)] {
            process.gate.kill();
        }
    }

    pub(crate) fn key(&self, place: u8) -> Key {
        self.processes[usize::from(place % PROCESSES)].as_ref().map_or(Key::Own, |it| it.key)
    }

    pub(crate) fn apply(&mut self, op: Op) {
        self.trace(|| format!("== {op:?}"));
        match op {
            Op::Call { process, tenant: of, email, patience } => {
                self.call(process, of, email, Duration::from_secs(u64::from(patience)));
            }
            Op::Recover { process } => self.recover(process),
            Op::Pass(time) => self.pass(time),
            Op::Arm { process, at, skip, fault } => {
                let process = process % (PROCESSES + 1);
                self.sim.state().armed.push(Armed { process, at, skip, fault });
            }
            Op::Crash { process } => self.kill(process),
            Op::Suspend { process, seconds } => {
                let sim = Arc::clone(&self.sim);
                let gate = Arc::clone(&self.process(process).gate);
                self.runtime.block_on(async { gate.suspend(&sim, seconds) });
            }
            Op::Delete { tenant: of, nth } => {
                let now = self.now();
                self.customer(of, nth, false, |it| it.deleted_at = Some(now));
            }
            Op::Edit { tenant: of, nth } => {
                let now = self.now();
                self.customer(of, nth, false, |it| {
                    if !it.of_a_failure || now.duration_since(it.made_at) > NOT_EDITED {
                        it.email = Some("edited@example.net".into());
                    }
                });
            }
            Op::DeliverCreated { process, tenant: of, nth } => {
                self.deliver_created(process, of, nth);
            }
            Op::DeliverDeleted { process, tenant: of, nth } => {
                if let Some(id) = self.customer(of, nth, true, |it| it.id.clone()) {
                    self.deliver_deleted(process, &id);
                }
            }
            Op::Lag { minutes } => {
                self.sim.state().book.lag = SignedDuration::from_mins(i64::from(minutes.min(60)));
            }
            Op::HostNulls { tenant: of } => {
                self.touch(of).by_host = true;
                let null = "UPDATE tenant_config SET stripe_customer_id = NULL WHERE tenant_id";
                self.host.writes(&format!("{null} = '{}'", tenant(of)));
            }
            Op::HostOverwrites { tenant: of } => self.overwrite(&tenant(of)),
            Op::HostMoves { tenant: of, nth } => self.move_customer(of, nth),
            Op::Remove { tenant: of } => {
                let now = self.now();
                if self.host.exists(&tenant(of)) {
                    let touched = self.touch(of);
                    touched.by_host = true;
                    touched.gone.push((now, None));
                    self.host.writes(&format!("DELETE FROM tenants WHERE id = '{}'", tenant(of)));
                }
            }
            Op::Register { tenant: of } => self.register(of),
            Op::Unbind { process, tenant: of } => self.unbind(process, of),
            Op::Backup => {
                self.host.back_up();
                self.backed_up_at = Some(self.now());
            }
            Op::Restore => self.restore(),
            Op::LoseRow { tenant: of } => self.lose_row(of),
            Op::Ail { ill, at, seconds } => {
                let until = self.now() + SignedDuration::from_secs(seconds.into());
                self.sim.state().ails = Some((ill, at, until));
            }
            Op::Remake { known } => self.remake(known),
            Op::Key { process, key } => {
                // Assumed: no process with another key is the first to use a database.
                let recorded = self.host.holds("SELECT 1 FROM stripe_account");
                self.start(process, if recorded { key } else { Key::Own });
            }
            Op::Stranger { tenant: of, kind } => self.stranger(&tenant(of), kind),
            Op::Meddle { tenant: of, nth, how } => self.meddle(of, nth, how),
            Op::Second => self.begin_second(false),
            Op::Copy => self.begin_second(true),
            Op::Afresh { keep } => self.start_afresh(keep),
            Op::Declare => self.declare(),
            Op::Theirs(their) => self.theirs(their),
        }
        self.at_most_one();
        self.each_has_its_own();
    }

    fn call(&mut self, process: u8, of: u8, email: Mail, patience: Duration) {
        let (of, key) = (tenant(of), self.key(process));
        let billing = self.process(process).billing.clone();
        let known_deleted = "SELECT group_concat(customer_id) FROM deleted_customer";
        let known_deleted = self.host.cell::<String>(known_deleted).unwrap_or_default();
        let begun = self.host.is_begun(&of);
        let call = Call { tenant: of.clone(), email, key, known_deleted, begun };
        let details = email.details();
        let number = self.process(process).gate.number;
        let deed = self.deeds.begin(self.now(), number, What::Call(call));
        let (deeds, sim) = (Arc::clone(&self.deeds), Arc::clone(&self.sim));
        let place = process % PROCESSES;
        self.runtime.spawn(async move {
            let result = billing.get_or_create(&of, &details, patience).await;
            let result = result.map(|it| it.customer.to_string());
            sim.trace(|| format!("p{place} returns {result:?}"));
            deeds.end(deed, sim.now(), result);
        });
    }

    /// One round of recovery. What it brings is the last error of a row, if there is one.
    pub(crate) fn recover(&mut self, process: u8) {
        let billing = self.process(process).billing.clone();
        let work = async move {
            let postponed = billing.recover_once().await?.postponed.pop();
            postponed.map_or(Ok(()), |(_, error)| Err(error))
        };
        self.run(process, What::Recover, work);
    }

    /// Work of a process that is not a call, on a task of its own.
    pub(crate) fn run<W>(&mut self, process: u8, what: What, work: W)
    where
        W: Future<Output = Result<(), tenant_billing::Error>> + Send + 'static,
    {
        let number = self.process(process).gate.number;
        let deed = self.deeds.begin(self.now(), number, what);
        let (deeds, sim) = (Arc::clone(&self.deeds), Arc::clone(&self.sim));
        self.runtime.spawn(async move {
            let result = work.await.map(|()| String::new());
            deeds.end(deed, sim.now(), result);
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        if !self.at_rest {
            self.come_to_rest();
        }
        let state = self.sim.state();
        if !state.broken.is_empty() {
            let broken = Broken { what: state.broken.clone(), trace: state.trace.clone() };
            drop(state);
            // Without the noise of the panic hook: who runs it says what broke, once it is
            // shrunken.
            resume_unwind(Box::new(broken));
        }
    }
}
