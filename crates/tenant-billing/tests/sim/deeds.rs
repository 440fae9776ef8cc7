//! What processes were asked to do and what came of it, and whether what they said was true.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tenant_billing::{Error, OperatorError, Problem, Unmarked, ids::TenantId};

use crate::{
    check::Entry,
    customer::{Customer, Maker},
    ops::{Key, Mail},
    world::{Touched, World},
};

/// No row is put off for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(26 * 3600);
/// So many conflicts in one call say that nothing gets on.
const CONFLICTS: usize = 100;

/// A call of `get_or_create`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) tenant: TenantId,
    pub(crate) email: Mail,
    pub(crate) key: Key,
    /// The Customers on record as deleted when it began.
    pub(crate) known_deleted: String,
    /// Whether the database said, when it began, that a Customer may exist.
    pub(crate) begun: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Call(Call),
    Recover,
    Webhook,
    Unbind,
}

#[derive(Debug, Clone)]
pub(crate) struct Deed {
    /// The process, by its own number.
    pub(crate) number: u64,
    pub(crate) what: What,
    began: Timestamp,
    /// When it was over, and what it brought; the Customer, if it was a call.
    pub(crate) ended: Option<(Timestamp, Result<String, Error>)>,
}

#[derive(Default)]
pub(crate) struct Deeds(Mutex<Vec<Deed>>);

impl Deeds {
    pub(crate) fn begin(&self, began: Timestamp, number: u64, what: What) -> usize {
        let mut deeds = self.all();
        deeds.push(Deed { number, what, began, ended: None });
        deeds.len() - 1
    }

    pub(crate) fn end(&self, deed: usize, at: Timestamp, result: Result<String, Error>) {
        self.all()[deed].ended = Some((at, result));
    }

    pub(crate) fn asked_for(&self, tenant: &TenantId) -> bool {
        let deeds = self.all();
        deeds.iter().any(|it| matches!(&it.what, What::Call(call) if call.tenant == *tenant))
    }

    /// Whether a Customer was, or may have been, taken off a tenant after this moment.
    pub(crate) fn unbound_since(&self, at: Option<Timestamp>) -> bool {
        let over = |deed: &Deed| deed.ended.as_ref().is_some_and(|(end, _)| at > Some(*end));
        self.all().iter().any(|it| matches!(it.what, What::Unbind) && !over(it))
    }

    /// What each call brought: a Customer's id, an error's code, or nothing where its process died.
    pub(crate) fn returned(&self) -> Vec<String> {
        let deeds = self.all();
        let calls = deeds.iter().filter(|it| matches!(it.what, What::Call(_)));
        let brought = calls.map(|it| match &it.ended {
            Some((_, Ok(customer))) => customer.clone(),
            Some((_, Err(error))) => error.code().to_owned(),
            None => String::new(),
        });
        brought.collect()
    }

    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Deed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deed {
    pub(crate) fn has_begun_since(&self, at: Timestamp) -> bool {
        self.began >= at
    }

    fn overlaps(&self, other: &Self) -> bool {
        let ends_after = |one: &Self, at| one.ended.as_ref().is_none_or(|(end, _)| *end >= at);
        self.number == other.number
            && ends_after(self, other.began)
            && ends_after(other, self.began)
    }
}

impl World {
    /// Every caller was told the truth.
    pub(crate) fn callers_were_told_the_truth(&self) {
        let deeds = self.deeds.all().clone();
        let mut returned: BTreeMap<TenantId, Vec<(Timestamp, Timestamp, String)>> = BTreeMap::new();
        let trail = self.trail();
        for (index, deed) in deeds.iter().enumerate() {
            if let Some((_, Err(error))) = &deed.ended {
                self.is_decent(error);
            }
            let (What::Call(call), Some((ended, result))) = (&deed.what, &deed.ended) else {
                continue;
            };
            let touched = self.touched[&call.tenant].clone();
            let lie = match result {
                Ok(customer) => {
                    let theirs = returned.entry(call.tenant.clone()).or_default();
                    theirs.push((deed.began, *ended, customer.clone()));
                    self.wrong_customer(call, customer)
                }
                Err(error) => self.untrue(deed, call, error, *ended, &touched),
            };
            if let Some(lie) = lie {
                self.sim_broken(format!("call {index} for {}: {lie}", call.tenant));
            }
            let alone =
                || !deeds.iter().enumerate().any(|(at, it)| at != index && it.overlaps(deed));
            // What Stripe has refused for good was sent, and created nothing.
            let denies = result.as_ref().err().filter(|it| !it.may_have_created());
            let denies = denies.filter(|_| self.knew(deed, *ended, call, &trail, alone()));
            if let Some(error) = denies {
                let what = "denied a Customer that may exist";
                self.sim_broken(format!("call {index} for {} {what}: {error}", call.tenant));
            }
            if let Err(error) = result
                && !matches!(error.problem(), Problem::Rejected(_))
                && !error.may_have_created()
                && self.sent(deed, *ended, &call.tenant)
                && alone()
                && !self.was_over(deed, *ended, &call.tenant, &trail)
            {
                let what = "said that nothing is under way, and had sent";
                self.sim_broken(format!("call {index} for {} {what}: {error}", call.tenant));
            }
        }
        for (tenant, calls) in returned {
            self.stable(&tenant, &calls);
        }
    }

    pub(crate) fn sim_broken(&self, what: String) {
        self.runtime.block_on(async { self.sim.broken(what) });
    }

    /// No error asks for an absurd wait or repeats an e-mail address.
    fn is_decent(&self, error: &Error) {
        if error.retry_after() > Some(LONGEST_WAIT) {
            self.sim_broken(format!("an absurd wait: {error}"));
        }
        if format!("{error} {error:?}").contains('@') {
            self.sim_broken(format!("an error holds an e-mail address: {error}"));
        }
    }

    /// Whether it was plain that a Customer might exist: the database said so all the time, or the
    /// process itself has read or written that, and nothing else of the same tables since.
    fn knew(
        &self,
        deed: &Deed,
        ended: Timestamp,
        call: &Call,
        trail: &[Entry],
        alone: bool,
    ) -> bool {
        let tenant = call.tenant.as_str();
        let state = self.sim.state();
        let seen = state.seen.iter().filter(|it| {
            let during = (deed.began..=ended).contains(&it.at);
            during && it.process == deed.number && it.tenant == tenant
        });
        let seen: Vec<_> = seen.collect();
        let read = seen.last().is_some_and(|last| {
            last.begun || seen.iter().any(|it| it.begun && it.tables != last.tables)
        });
        drop(state);
        alone && read || call.begun && !self.was_over(deed, ended, &call.tenant, trail)
    }

    /// Whether what was begun for the tenant came to nothing meanwhile, or the trail that would
    /// tell is lost.
    fn was_over(&self, deed: &Deed, ended: Timestamp, tenant: &TenantId, trail: &[Entry]) -> bool {
        let during = deed.began.as_millisecond()..=ended.as_millisecond();
        let remade = self.sim.state().remade.as_ref().map(|it| it.0);
        let over = |it: &Entry| {
            let over = it.kind == "vacated" || it.kind == "rejected";
            over && it.tenant == tenant.as_str() && during.contains(&it.at)
        };
        remade.max(self.restored_at) >= Some(deed.began) || trail.iter().any(over)
    }

    /// How often a process was told of this trouble meanwhile.
    fn told(&self, deed: &Deed, ended: Timestamp, trouble: &str) -> usize {
        let told = |(at, process, name): &&(Timestamp, u64, &str)| {
            let during = (deed.began..=ended).contains(at);
            during && *process == deed.number && *name == trouble
        };
        self.sim.state().told.iter().filter(told).count()
    }

    fn sent(&self, deed: &Deed, ended: Timestamp, tenant: &TenantId) -> bool {
        let sends = &self.sim.state().sends;
        sends.iter().any(|(at, number, of)| {
            *number == deed.number && of == tenant.as_str() && (deed.began..=ended).contains(at)
        })
    }

    fn wrong_customer(&self, call: &Call, customer: &str) -> Option<String> {
        let state = self.sim.state();
        let Some(it) = state.book.find(customer) else {
            return Some(format!("was given {customer}, which Stripe does not know"));
        };
        let given = self.touched[&call.tenant].given.contains(customer);
        let theirs = matches!(it.maker, Maker::Foreign | Maker::Second(_));
        if !given && (it.tenant != call.tenant.as_str() || theirs) {
            return Some(format!("was given {customer}, which is somebody else's"));
        }
        if self.remade.is_some() {
            return None;
        }
        let known = call.known_deleted.split(',').any(|id| id == customer);
        known.then(|| format!("was given {customer}, which was on record as deleted"))
    }

    /// Why this error should not have been told.
    fn untrue(
        &self,
        deed: &Deed,
        call: &Call,
        error: &Error,
        ended: Timestamp,
        touched: &Touched,
    ) -> Option<String> {
        let live = self.sim.settings.live;
        let fair = match error.problem() {
            // Nobody keeps changing what a trigger of the host's keeps as it is.
            Problem::Retry { why, .. } if why.contains("keep changing") => {
                self.told(deed, ended, "write_refused") < CONFLICTS
            }
            Problem::Retry { .. } => true,
            Problem::Operator(it) if self.told(deed, ended, it.name()) > 0 => true,
            Problem::Rejected(_) => call.email == Mail::Rejected,
            Problem::UnknownTenant(_) => touched.gone.iter().any(|(from, until)| {
                *from <= ended && until.is_none_or(|until| until >= deed.began)
            }),
            Problem::Operator(OperatorError::WrongAccount { .. }) => call.key != Key::Own,
            Problem::Operator(OperatorError::ForeignCustomer { .. }) => {
                live && (touched.foreign || self.remade.is_some() || self.second_has_created())
            }
            Problem::Operator(OperatorError::UnmarkedCustomers(_)) => {
                self.sim.settings.unmarked == Some(Unmarked::Stop) && touched.unmarked
            }
            Problem::Operator(OperatorError::BoundElsewhere(id)) => self.was_moved(id.as_str()),
            Problem::Operator(OperatorError::OutOfReach) => !self.sim.settings.search,
            Problem::Operator(OperatorError::NoEmailToLookBy) => {
                call.email == Mail::None && (!self.sim.settings.search || touched.row_lost)
            }
            Problem::Operator(_) | Problem::Invalid(_) => false,
        };
        (!fair).then(|| format!("was told for no reason: {error}"))
    }

    /// Whoever asks later is given the same one, unless that is gone or somebody meddled.
    fn stable(&self, tenant: &TenantId, calls: &[(Timestamp, Timestamp, String)]) {
        let touched = &self.touched[tenant];
        if touched.by_host || touched.unbound || self.restored_at.is_some() {
            return;
        }
        if self.remade.is_some() {
            // What was bound, and to whom, may be forgotten with our tables.
            return;
        }
        for (_, ended, first) in calls {
            for (began, end, second) in calls {
                let gone = |it: &Customer| {
                    it.deleted_at.is_some_and(|at| at <= *end) || it.is_past_knowing(*end)
                };
                let lost = self.sim.state().book.find(first).is_some_and(gone);
                if began > ended && first != second && !lost {
                    let what = format!("{tenant} was given {first}, then {second}");
                    self.sim_broken(format!("{what}, though the first is alive"));
                }
            }
        }
    }
}
