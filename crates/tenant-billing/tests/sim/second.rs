//! A second application on the same Stripe account, with tenants of the same ids; or a copy of the
//! database, which lives on beside the original and is one from the moment when its operator says
//! so. It has one process, which is the fourth place of the world.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use tenant_billing::{
    Afresh, Database as _, OperatorError, Policy, Problem, SqliteStore, Unmarked,
    ids::{CustomerId, InstallationId, TenantId},
};

use crate::{
    customer::{ELSEWHERE, Maker},
    deeds::{Call, Deeds, What},
    host::{Host, TENANTS, tenant},
    ops::{Key, Mail, Their},
    sim::{Gate, SimClock},
    store::at_once,
    world::{PROCESSES, Process, World},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// More calls than a tenant needs.
const CALLS: u32 = 60;

pub(crate) struct Second {
    pub(crate) host: Host,
    pub(crate) process: Option<Process>,
    pub(crate) deeds: Arc<Deeds>,
    /// Whether it began as a copy of the first one's.
    pub(crate) is_copy: bool,
    /// When its database became one of its own: at once, or when the copy's operator said so.
    own_since: Option<Timestamp>,
    /// What the original had bound when it was copied: by tenant and Customer. Both databases may
    /// hand these out while the copy keeps them.
    shared: BTreeSet<(String, String)>,
}

impl Second {
    /// Whether it is a copy, and nobody has said so yet.
    pub(crate) fn is_undeclared(&self) -> bool {
        self.own_since.is_none()
    }
}

impl World {
    pub(super) fn begin_second(&mut self, is_copy: bool) {
        if self.second.is_some() {
            return;
        }
        let host = if is_copy { self.host.copy() } else { Host::second(self.sim.settings.live) };
        let bound = "SELECT tenant_id, stripe_customer_id FROM tenant_config
                     WHERE stripe_customer_id IS NOT NULL UNION SELECT tenant_id, customer_id
                     FROM customer_provisioning WHERE customer_id IS NOT NULL";
        let shared = {
            let mut statement = host.sql.prepare(bound).expect("a statement");
            let shared = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            shared.and_then(Iterator::collect).expect("what is bound")
        };
        let own_since = (!is_copy).then(|| self.now());
        if is_copy {
            self.sim.state().senders.insert(self.host.installation(), false);
            // What the watching triggers saw of the original is not the copy's doing.
            host.writes("UPDATE sim_column SET by_host = 1");
        }
        let deeds = Arc::default();
        self.second = Some(Second { host, process: None, deeds, is_copy, own_since, shared });
    }

    /// The copy's operator stops its processes and gives it an installation id of its own.
    pub(super) fn start_afresh(&mut self, keep: bool) {
        let now = self.now();
        let Some(second) = self.second.as_mut().filter(|it| it.is_undeclared()) else {
            return;
        };
        if let Some(process) = second.process.take() {
            process.gate.kill();
        }
        second.own_since = Some(now);
        if !keep {
            second.shared.clear();
        }
        let path = second.host.path.clone();
        let bound = "SELECT now FROM sim_column WHERE by_host = 0 AND now IS NOT NULL";
        if let Some(id) = second.host.cell::<String>(bound) {
            self.sim_broken(format!("{id} was bound by a copy that nobody has declared"));
        }
        let how = if keep { Afresh::CopyKeepingBindings } else { Afresh::CopyForgettingBindings };
        self.administer(&path, async |store| drop(store.start_afresh(how).await.expect("a copy")));
    }

    /// Each operator declares every other installation to be another application. Of the first
    /// database's own, which were lost, nobody declares that.
    pub(super) fn declare(&mut self) {
        let mine = self.second.as_ref().map(|it| it.host.installation());
        let mut others = BTreeSet::from([ELSEWHERE.to_owned()]);
        let senders = self.sim.state().senders.clone();
        let by = |second| senders.iter().filter(move |it| *it.1 == second).map(|it| it.0.clone());
        others.extend(by(true).chain(mine.clone()));
        let path = self.host.path.clone();
        let undeclared = self.second.as_ref().is_some_and(Second::is_undeclared);
        if undeclared {
            others.remove(&self.host.installation());
        }
        self.ignore(&path, &others);
        if let Some(second) = self.second.as_ref().filter(|it| !it.is_undeclared()) {
            let path = second.host.path.clone();
            let mut others: BTreeSet<_> = by(false).collect();
            others.extend([ELSEWHERE.to_owned(), self.host.installation()]);
            others.retain(|it| Some(it) != mine.as_ref());
            self.ignore(&path, &others);
        }
    }

    fn ignore(&self, path: &std::path::Path, others: &BTreeSet<String>) {
        self.administer(path, async |store| {
            for other in others {
                let other = InstallationId::parse(other).expect("an installation");
                store.ignore_installation(&other).await.expect("an operator may say so");
            }
        });
    }

    /// An operator's command, past everything that a run orders around the store.
    fn administer(&self, path: &std::path::Path, work: impl AsyncFnOnce(&SqliteStore)) {
        let gate = Gate::new(PROCESSES, 0);
        let clock = Arc::new(SimClock { sim: Arc::clone(&self.sim), gate });
        let store = SqliteStore::open(path).expect("a store").with_clock(clock);
        self.runtime.block_on(async { at_once(work(&store)) });
    }

    pub(super) fn theirs(&mut self, their: Their) {
        if self.second.is_none() {
            return;
        }
        match their {
            Their::Call { tenant } => self.call_second(tenant),
            Their::Recover => {
                let billing = self.second_process().1;
                self.run_second(What::Recover, async move {
                    billing.recover_once().await.map(|_| String::new())
                });
            }
            Their::Delete { tenant: of } => {
                let (of, now) = (tenant(of), self.now());
                let mut state = self.sim.state();
                let mut live = state.book.customers.iter_mut().filter(|it| {
                    let made = matches!(it.maker, Maker::Second(_)) && it.tenant == of.as_str();
                    made && it.deleted_at.is_none()
                });
                if let Some(it) = live.next() {
                    it.deleted_at = Some(now);
                }
            }
            Their::Crash => {
                let process = self.second.as_ref().and_then(|it| it.process.as_ref());
                process.iter().for_each(|it| it.gate.kill());
            }
        }
    }

    /// Stripe tells the second application, too, that a Customer was deleted.
    pub(crate) fn tell_second(&mut self, id: &str) {
        if self.second.is_some() {
            let billing = self.second_process().1;
            let id = CustomerId::parse(id).expect("an id");
            self.run_second(What::Webhook, async move {
                billing.customer_deleted(&id).await.map(|()| String::new())
            });
        }
    }

    fn call_second(&mut self, of: u8) {
        let (of, billing) = (tenant(of), self.second_process().1);
        let (email, key) = (Mail::Good, Key::Own);
        let known_deleted = String::new();
        let call = Call { tenant: of.clone(), email, key, known_deleted, begun: false };
        let details = email.details();
        self.run_second(What::Call(call), async move {
            billing.get_or_create(&of, &details, PATIENCE).await.map(|it| it.customer.to_string())
        });
    }

    /// The number and the handle of the second application's process, started if need be. Its
    /// operator has said that it has no Customers without its mark.
    fn second_process(&mut self) -> (u64, tenant_billing::Billing) {
        let process = self.second.as_ref().and_then(|it| it.process.as_ref());
        if process.is_none_or(|it| it.gate.is_dead()) {
            let inquire_first = self.sim.settings.inquire_first;
            let unmarked = Some(Unmarked::Ignore);
            let policy = Policy { inquire_first, unmarked, ..Policy::default() };
            let process = self.launch(PROCESSES, Key::Own, policy);
            self.second.as_mut().expect("a second application").process = Some(process);
        }
        let process = self.second.as_ref().and_then(|it| it.process.as_ref());
        let process = process.expect("it was started");
        (process.gate.number, process.billing.clone())
    }

    fn run_second<W>(&mut self, what: What, work: W)
    where
        W: Future<Output = Result<String, tenant_billing::Error>> + Send + 'static,
    {
        let (number, now) = (self.second_process().0, self.now());
        let deeds = Arc::clone(&self.second.as_ref().expect("a second application").deeds);
        let deed = deeds.begin(now, number, what);
        let sim = Arc::clone(&self.sim);
        self.runtime.spawn(async move {
            let result = work.await;
            sim.trace(|| format!("the second returns {result:?}"));
            deeds.end(deed, sim.now(), result);
        });
    }

    /// Whether the second application has created a Customer, for which the first one may stop.
    pub(crate) fn second_has_created(&self) -> bool {
        let state = self.sim.state();
        state.book.customers.iter().any(|it| matches!(it.maker, Maker::Second(_)))
    }

    /// No Customer is bound in both databases, but for what a copy keeps.
    pub(crate) fn each_has_its_own(&self) {
        let Some(second) = self.second.as_ref().filter(|it| !it.is_undeclared()) else {
            return;
        };
        for of in (0..TENANTS).map(tenant) {
            let Some(id) = second.host.column(&of) else {
                continue;
            };
            let shared = second.shared.contains(&(of.to_string(), id.clone()));
            let both = (0..TENANTS).map(tenant).any(|it| self.host.column(&it) == Some(id.clone()));
            if both && !shared {
                self.sim_broken(format!("{id} is bound in both databases"));
            }
        }
    }

    /// Every tenant of the second application is asked for until it has its Customer.
    pub(crate) fn second_comes_to_rest(&mut self) {
        for number in 0..TENANTS {
            let asked = self.second.as_ref().is_some_and(|it| {
                it.host.exists(&tenant(number)) && it.deeds.asked_for(&tenant(number))
            });
            let done = !asked || (0..CALLS).any(|_| self.second_gets_on(number));
            if !done {
                self.sim_broken(format!("the second's tenant {number} is never given a Customer"));
            }
        }
    }

    fn second_gets_on(&mut self, number: u8) -> bool {
        self.call_second(number);
        self.wait_for_all();
        let second = self.second.as_ref().expect("a second application");
        let last = second.deeds.all().last().and_then(|it| it.ended.clone());
        match last.map(|it| it.1) {
            Some(Ok(id)) => {
                let bound = second.host.column(&tenant(number)).as_ref() == Some(&id);
                let alive =
                    self.sim.state().book.find(&id).is_some_and(|it| it.deleted_at.is_none());
                if !(bound && alive) {
                    self.sim_broken(format!(
                        "the second's tenant {number} was given {id}, in vain"
                    ));
                }
                true
            }
            // Its row was in doubt for a month.
            Some(Err(error)) if self.is_out_of_reach(&error) => true,
            // The copy was made after the host had moved it.
            Some(Err(error)) if self.was_moved_before(&error) => true,
            Some(Err(error)) => {
                self.theirs(Their::Recover);
                self.wait_for_all();
                self.heed(&error);
                false
            }
            None => false,
        }
    }

    fn was_moved_before(&self, error: &tenant_billing::Error) -> bool {
        let problem = error.problem();
        matches!(problem, Problem::Operator(OperatorError::BoundElsewhere(id)) if self.was_moved(id.as_str()))
    }

    fn is_out_of_reach(&self, error: &tenant_billing::Error) -> bool {
        let host = &self.second.as_ref().expect("a second application").host;
        let row = "SELECT 1 FROM customer_provisioning WHERE last_error LIKE '%reach back far%'";
        !self.sim.settings.search && (error.code() == "operator_must_act" || host.holds(row))
    }

    /// Each tenant of the second application has a Customer of its own, one, and was never given
    /// anybody else's.
    pub(crate) fn second_keeps_its_promises(&self) {
        let Some(second) = &self.second else {
            return;
        };
        self.each_has_its_own();
        let bound = "SELECT tenant || ' ' || now FROM sim_column WHERE by_host = 0 AND now > ''";
        let bound: Vec<String> = {
            let mut statement = second.host.sql.prepare(bound).expect("a statement");
            let bound = statement.query_map([], |row| row.get(0));
            bound.and_then(Iterator::collect).expect("what was bound")
        };
        for (of, id) in bound.iter().filter_map(|it| it.split_once(' ')) {
            if !self.is_the_seconds(of, id) {
                self.sim_broken(format!("the second bound {id} to {of}, whose it is not"));
            }
        }
        for deed in second.deeds.all().iter() {
            let own = second.own_since.is_some_and(|it| deed.has_begun_since(it));
            if let (What::Call(call), Some((_, Ok(id)))) = (&deed.what, &deed.ended)
                && own
                && !self.is_the_seconds(call.tenant.as_str(), id)
            {
                self.sim_broken(format!("the second was given {id}, which is somebody else's"));
            }
        }
        (0..TENANTS).map(tenant).for_each(|of| self.second_has_one(&of));
    }

    fn is_the_seconds(&self, of: &str, id: &str) -> bool {
        let second = self.second.as_ref().expect("a second application");
        let made = self
            .sim
            .state()
            .book
            .find(id)
            .is_some_and(|it| it.tenant == of && matches!(it.maker, Maker::Second(_)));
        made || second.shared.contains(&(of.to_owned(), id.to_owned()))
    }

    fn second_has_one(&self, of: &TenantId) {
        let now = self.now();
        let live: Vec<String> = {
            let state = self.sim.state();
            let live = state.book.customers.iter().filter(|it| {
                let made = matches!(it.maker, Maker::Second(_)) && it.tenant == of.as_str();
                made && it.deleted_at.is_none() && !it.is_past_knowing(now)
            });
            live.map(|it| it.id.clone()).collect()
        };
        if live.len() > 1 {
            self.sim_broken(format!("the second's tenant {of} has live Customers {live:?}"));
        }
    }
}
