//! A whole small world: one database, one Stripe, three processes of the shipped software, and the
//! hands of everybody else. When it is dropped it brings itself to rest and asserts the promises.

use std::{collections::BTreeMap, panic::resume_unwind, sync::Arc, thread, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tenant_billing::{
    Billing, Policy, SqliteStore,
    ids::{CustomerId, Email, TenantId},
    request::{CustomerDetails, TENANT_KEY},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    book::{Book, Maker, elsewhere},
    deeds::{Call, Deeds, What},
    host::{Host, TENANTS, tenant},
    ops::{Key, Mail, Op, Settings, Stranger},
    sim::{Armed, Gate, Sim, SimClock},
    store::SimStore,
    stripe::SimStripe,
};

pub(crate) const PROCESSES: u8 = 3;

/// Known limit: a stored 500 whose Customer somebody edits while Stripe's events are behind. Ten minutes
/// until it shows, an hour for the events, and time for a look.
const NOT_EDITED: SignedDuration = SignedDuration::from_hours(2);
/// Known limit: a row deleted by hand while a process is between deciding and writing.
const DECIDES: SignedDuration = SignedDuration::from_secs(61);

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
    /// The host wrote its column, or deleted the tenant.
    pub(crate) by_host: bool,
    pub(crate) unbound: bool,
    pub(crate) foreign: bool,
    /// When the tenant was not there.
    pub(crate) gone: Vec<(Timestamp, Option<Timestamp>)>,
}

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) sim: Arc<Sim>,
    pub(crate) host: Host,
    pub(crate) processes: Vec<Option<Process>>,
    pub(crate) deeds: Arc<Deeds>,
    pub(crate) touched: BTreeMap<TenantId, Touched>,
    pub(crate) restored_at: Option<Timestamp>,
    backed_up_at: Option<Timestamp>,
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
            deeds: Arc::default(),
            touched: (0..TENANTS).map(|it| (tenant(it), Touched::default())).collect(),
            restored_at: None,
            backed_up_at: None,
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
        self.started += 1;
        self.trace(|| format!("p{place} starts"));
        let gate = Gate::new(place, self.started);
        let clock = Arc::new(SimClock { sim: Arc::clone(&self.sim), gate: Arc::clone(&gate) });
        let inner = SqliteStore::open(&self.host.path, clock.clone()).expect("a store");
        let (sim, at) = (Arc::clone(&self.sim), Arc::clone(&gate));
        let store = Arc::new(SimStore { sim, gate: at, inner });
        let (sim, at) = (Arc::clone(&self.sim), Arc::clone(&gate));
        let stripe = Arc::new(SimStripe { sim, gate: at, key });
        // After a restored backup every process looks first, until a reconcile has run: it never does.
        let look_first = self.sim.settings.look_first || self.restored_at.is_some();
        let policy = Policy { look_first, restored_at: self.restored_at, ..Policy::default() };
        let billing = Billing::with_policy(store, stripe, clock, policy);
        self.processes[usize::from(place)] = Some(Process { gate, billing, key });
    }

    fn kill(&mut self, place: u8) {
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
            Op::Recover { process } => {
                let billing = self.process(process).billing.clone();
                let work = async move { billing.recover_once().await.map(drop) };
                self.do_it(process, What::Recover, work);
            }
            Op::Pass(time) => self.pass(time),
            Op::Arm { process, at, skip, fault } => {
                let process = process % PROCESSES;
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
            Op::TellCreated { process, tenant: of, nth } => self.tell_created(process, of, nth),
            Op::TellDeleted { process, tenant: of, nth } => {
                if let Some(id) = self.customer(of, nth, true, |it| it.id.clone()) {
                    self.tell_deleted(process, &id);
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
            Op::Key { process, key } => self.start(process, key),
            Op::Stranger { tenant: of, kind } => self.stranger(&tenant(of), kind),
        }
        self.at_most_one();
    }

    fn call(&mut self, process: u8, of: u8, email: Mail, patience: Duration) {
        let (of, key) = (tenant(of), self.key(process));
        let billing = self.process(process).billing.clone();
        let known_deleted = "SELECT group_concat(customer_id) FROM deleted_customer";
        let known_deleted = self.host.cell::<String>(known_deleted).unwrap_or_default();
        let call = Call { tenant: of.clone(), email, key, known_deleted };
        let details = CustomerDetails::new(Email::parse(email.address()).expect("an address"));
        let number = self.process(process).gate.number;
        let deed = self.deeds.begin(self.now(), number, What::Call(call));
        let (deeds, sim) = (Arc::clone(&self.deeds), Arc::clone(&self.sim));
        let place = process % PROCESSES;
        self.runtime.spawn(async move {
            let landed = billing.get_or_create(&of, &details, patience).await;
            let landed = landed.map(|it| it.customer.to_string());
            sim.trace(|| format!("p{place} returns {landed:?}"));
            deeds.end(deed, sim.now(), landed);
        });
    }

    /// Work of a process that is not a call, on a task of its own.
    pub(crate) fn do_it<W>(&mut self, process: u8, what: What, work: W)
    where
        W: Future<Output = Result<(), tenant_billing::Error>> + Send + 'static,
    {
        let number = self.process(process).gate.number;
        let deed = self.deeds.begin(self.now(), number, what);
        let (deeds, sim) = (Arc::clone(&self.deeds), Arc::clone(&self.sim));
        self.runtime.spawn(async move {
            let landed = work.await.map(|()| String::new());
            deeds.end(deed, sim.now(), landed);
        });
    }

    fn tell_created(&mut self, process: u8, of: u8, nth: u8) {
        let told = {
            let state = self.sim.state();
            let of = tenant(of);
            let ours = state.book.customers.iter().filter(|it| it.tenant == of.as_str());
            let told = ours.filter_map(|it| match &it.maker {
                Maker::Us(key) => Some((key.clone(), it.id.clone())),
                Maker::Host | Maker::Foreign | Maker::Legacy => None,
            });
            let told: Vec<_> = told.collect();
            (!told.is_empty()).then(|| told[usize::from(nth) % told.len()].clone())
        };
        if let Some((key, id)) = told
            && self.key(process) == Key::Own
        {
            let billing = self.process(process).billing.clone();
            let id = CustomerId::parse(&id).expect("an id");
            self.do_it(
                process,
                What::Webhook,
                async move { billing.customer_created(&key, &id).await },
            );
        }
    }

    pub(crate) fn tell_deleted(&mut self, process: u8, id: &str) {
        let billing = self.process(process).billing.clone();
        let id = CustomerId::parse(id).expect("an id");
        let work = async move { billing.customer_deleted(&id).await };
        self.do_it(process, What::Webhook, work);
    }

    /// Does something with one of the tenant's Customers, dead or live.
    fn customer<T>(
        &self,
        of: u8,
        nth: u8,
        dead: bool,
        act: impl FnOnce(&mut crate::book::Customer) -> T,
    ) -> Option<T> {
        let of = tenant(of);
        let mut state = self.sim.state();
        let customers = state.book.customers.iter_mut();
        let mut theirs: Vec<_> = customers
            .filter(|it| it.tenant == of.as_str() && it.deleted_at.is_some() == dead)
            .filter(|it| matches!(it.maker, Maker::Us(_) | Maker::Host | Maker::Legacy))
            .collect();
        if theirs.is_empty() {
            return None;
        }
        let at = usize::from(nth) % theirs.len();
        Some(act(theirs.swap_remove(at)))
    }

    fn touch(&mut self, of: u8) -> &mut Touched {
        self.touched.entry(tenant(of)).or_default()
    }

    fn overwrite(&mut self, of: &TenantId) {
        if !self.host.exists(of) {
            return;
        }
        self.touched.entry(of.clone()).or_default().by_host = true;
        let (now, email) = (self.now(), Mail::Good.address());
        let book = &mut self.sim.state().book;
        let id = book.make_foreign(Maker::Host, of.as_str(), email, &[], now);
        self.host.writes(&format!(
            "INSERT INTO tenant_config (id, tenant_id, stripe_customer_id)
             VALUES ('host-{id}', '{of}', '{id}') ON CONFLICT (tenant_id)
             DO UPDATE SET stripe_customer_id = excluded.stripe_customer_id"
        ));
    }

    pub(crate) fn register(&mut self, of: u8) {
        let now = self.now();
        if !self.host.exists(&tenant(of)) {
            if let Some(gone) = self.touch(of).gone.last_mut() {
                gone.1 = Some(now);
            }
            self.host.writes(&format!("INSERT INTO tenants (id) VALUES ('{}')", tenant(of)));
        }
    }

    fn unbind(&mut self, process: u8, of: u8) {
        let of = tenant(of);
        let Some(bound) = self.host.column(&of) else {
            return;
        };
        self.touched.entry(of.clone()).or_default().unbound = true;
        let billing = self.process(process).billing.clone();
        let bound = CustomerId::parse(&bound).expect("an id");
        self.do_it(process, What::Unbind, async move { billing.unbind(&of, &bound).await });
    }

    fn restore(&mut self) {
        if self.deeds.unbound_since(self.backed_up_at) {
            // Known limit: a restored backup forgets which Customers were unbound since.
            return;
        }
        // The database was down for it: every process is started again, now with look-first. What they
        // had sent is still on its way.
        (0..PROCESSES).for_each(|place| self.kill(place));
        self.host.restore();
        self.restored_at = Some(self.now());
        let now = self.now();
        for number in 0..TENANTS {
            let exists = self.host.exists(&tenant(number));
            let touched = self.touch(number);
            // Also the list of tenants is an old one.
            match (exists, touched.gone.last_mut()) {
                (true, Some((_, until @ None))) => *until = Some(now),
                (false, Some((_, Some(_))) | None) => touched.gone.push((now, None)),
                _ => {}
            }
        }
    }

    fn lose_row(&mut self, of: u8) {
        let (of, now) = (tenant(of), self.now());
        let views = self.sim.state().views.clone();
        for process in self.processes.iter().flatten() {
            let view = views.get(&(process.gate.number, of.to_string()));
            if view.is_some_and(|at| now.duration_since(*at) < DECIDES) {
                process.gate.kill();
            }
        }
        self.touched.entry(of.clone()).or_default().row_lost = true;
        self.host.writes(&format!("DELETE FROM customer_provisioning WHERE tenant_id = '{of}'"));
    }

    fn stranger(&mut self, of: &TenantId, kind: Stranger) {
        let now = self.now();
        let other = [(TENANT_KEY, "00000000-0000-4000-8000-999999999999")];
        let ours = [(TENANT_KEY, of.as_str())];
        let foreign = elsewhere(of.as_str());
        let (maker, metadata): (_, &[_]) = match kind {
            Stranger::SameEmail => (Maker::Foreign, &[]),
            Stranger::OtherTenant => (Maker::Foreign, &other),
            Stranger::OtherInstallation => (Maker::Foreign, &foreign),
            Stranger::Legacy => (Maker::Legacy, &ours),
        };
        if kind == Stranger::OtherInstallation {
            self.touched.entry(of.clone()).or_default().foreign = true;
        }
        let email = Mail::Good.address();
        self.sim.state().book.make_foreign(maker, of.as_str(), email, metadata, now);
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
            // Without the noise of the panic hook: who runs it says what broke, once it is shrunken.
            resume_unwind(Box::new(broken));
        }
    }
}
