//! How a run ends: faults cease, what is under way comes to its end, time passes as the rows ask,
//! recovery runs, and somebody calls once more.

use std::{sync::Arc, time::Duration};

use tenant_billing::{Error, OperatorError, Problem, Unmarked, ids::TenantId};

use crate::{
    deeds::Deeds,
    host::{TENANTS, tenant},
    ops::{Key, Mail, Op},
    world::World,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// More rounds of recovery than any row needs.
const ROUNDS: u32 = 400;
/// From here on the worker is late: it comes when an inquiry can prove that there is no Customer.
const PUNCTUAL: u32 = 6;
/// Whatever was permitted to be sent is over by then, and shows.
const DRAINED: Duration = Duration::from_secs(5 * 3600);

impl World {
    pub(crate) fn come_to_rest(&mut self) {
        self.at_rest = true;
        self.sim.state().armed.clear();
        self.sim.state().ails = None;
        for process in self.processes.iter().chain(self.second.iter().map(|it| &it.process)) {
            process.iter().for_each(|it| it.gate.wake());
        }
        if self.key(0) != Key::Own {
            self.start(0, Key::Own);
        }
        self.operators_answer();
        self.wait_for_all();
        self.deliver_all_deletions();
        self.recover_all();
        self.none_is_lost(false);
        for number in 0..TENANTS {
            // A tenant that nobody asked for has no Customer, and needs none.
            if self.host.exists(&tenant(number)) && self.deeds.asked_for(&tenant(number)) {
                self.call_until_it_works(number);
            }
        }
        self.second_comes_to_rest();
        self.pass(DRAINED);
        self.deliver_all_deletions();
        self.recover_all();
        self.at_most_one();
        self.none_is_lost(true);
        self.callers_were_told_the_truth();
        self.trail_is_complete();
        self.second_keeps_its_promises();
    }

    /// What living processes were asked to do comes to an end.
    pub(crate) fn wait_for_all(&mut self) {
        // A fault that suspends a process for 26 hours may have been waiting for its moment.
        for _ in 0..9_500 {
            let alive = |number| {
                let alive = |it: &&crate::world::Process| !it.gate.is_dead();
                let second = self.second.iter().map(|it| &it.process);
                let mut living = self.processes.iter().chain(second).flatten().filter(alive);
                living.any(|it| it.gate.number == number)
            };
            let theirs = self.second.iter().map(|it| &it.deeds);
            let waiting = |deeds: &Arc<Deeds>| {
                deeds.all().iter().any(|it| it.ended.is_none() && alive(it.number))
            };
            if ![&self.deeds].into_iter().chain(theirs).any(waiting) {
                return;
            }
            self.pass(10 * SECOND);
        }
        self.sim_broken("a call or a round of recovery never ends".into());
    }

    /// Stripe delivers again what it has not delivered.
    fn deliver_all_deletions(&mut self) {
        let deleted = |it: &&crate::customer::Customer| it.deleted_at.is_some();
        let deleted: Vec<_> = {
            let state = self.sim.state();
            state.book.customers.iter().filter(deleted).map(|it| it.id.clone()).collect()
        };
        for id in deleted {
            self.deliver_deleted(0, &id);
            self.tell_second(&id);
        }
        self.wait_for_all();
    }

    fn recover_all(&mut self) {
        for round in 0..ROUNDS {
            self.recover(0);
            self.wait_for_all();
            let due = "FROM customer_provisioning WHERE state IN ('pending', 'in_doubt')";
            let Some(next) = self.host.cell::<i64>(&format!("SELECT min(next_attempt_at) {due}"))
            else {
                return;
            };
            let late = format!("SELECT max(next_attempt_at, coalesce(conclusive_from, 0)) {due}");
            let late = format!("SELECT min(at) FROM (SELECT ({late} ORDER BY 1 LIMIT 1) AS at)");
            let late = self.host.cell::<i64>(&late).unwrap_or(next);
            if round > 2 * PUNCTUAL && self.all_stuck() {
                return;
            }
            let next = if round < PUNCTUAL { next } else { late };
            let wait = u64::try_from(next - self.now().as_millisecond()).unwrap_or_default();
            self.pass(Duration::from_millis(wait) + SECOND);
        }
        self.sim_broken("recovery does not come to an end".into());
    }

    /// Whatever is left needs an operator, and says so.
    fn all_stuck(&self) -> bool {
        (0..TENANTS).map(tenant).all(|it| !self.under_way(&it) || self.is_stuck(&it))
    }

    fn under_way(&self, of: &TenantId) -> bool {
        let row = format!("SELECT 1 FROM customer_provisioning WHERE tenant_id = '{of}'");
        self.host.holds(&format!("{row} AND state IN ('pending', 'in_doubt')"))
    }

    /// Every operator says what is whose, where a call may have stopped for that.
    fn operators_answer(&mut self) {
        self.start_afresh(true);
        self.declare();
        let settings = self.sim.settings;
        if settings.unmarked == Some(Unmarked::Stop) {
            let theirs = settings.unmarked_are_theirs;
            self.unmarked = Some(if theirs { Unmarked::Ignore } else { Unmarked::Adopt });
            self.start(0, Key::Own);
        }
    }

    /// The row waits for an operator: because of a lost installation's Customer in live mode, of
    /// events that do not reach back far enough in an account without search (or of no e-mail
    /// address to look by), or of a Customer that the host has moved into another tenant's column.
    pub(crate) fn is_stuck(&self, of: &TenantId) -> bool {
        let why = |words: &str| {
            let row = format!("SELECT 1 FROM customer_provisioning WHERE tenant_id = '{of}'");
            self.host
                .holds(&format!("{row} AND state = 'in_doubt' AND last_error LIKE '%{words}%'"))
        };
        let settings = self.sim.settings;
        (settings.live && self.remade.is_some() && why("has created % for a tenant of this id"))
            || (!settings.search && why("do not reach back far enough"))
            || (!settings.search && why("no e-mail address to look by"))
            || (why("is bound to another tenant") && self.has_one_elsewhere(of))
    }

    fn call_until_it_works(&mut self, number: u8) {
        for _ in 0..60 {
            self.apply(Op::Call { process: 0, tenant: number, email: Mail::Good, patience: 60 });
            self.wait_for_all();
            let last = self.deeds.all().last().and_then(|it| it.ended.clone());
            let Some((_, result)) = last else {
                return;
            };
            match result {
                Ok(customer) => return self.is_bound_and_alive(number, &customer),
                // A row that waits for an operator tells callers when the next inquiry is due.
                Err(_) if self.is_stuck(&tenant(number)) => return,
                Err(error)
                    if matches!(
                        error.problem(),
                        Problem::Operator(OperatorError::BoundElsewhere(_))
                    ) && self.has_one_elsewhere(&tenant(number)) =>
                {
                    return;
                }
                Err(error) => self.heed(&error),
            }
        }
        self.sim_broken(format!("tenant {number} is never given a Customer"));
    }

    pub(crate) fn heed(&mut self, error: &Error) {
        if let Some(after) = error.retry_after() {
            self.pass(after.min(6 * HOUR) + SECOND);
            self.recover_all();
        }
    }

    fn is_bound_and_alive(&self, number: u8, customer: &str) {
        let column = self.host.column(&tenant(number));
        let alive = |it: &crate::customer::Customer| it.deleted_at.is_none();
        let alive = self.sim.state().book.find(customer).is_some_and(alive);
        if column.as_deref() != Some(customer) || !alive {
            let is = if alive { "alive" } else { "dead" };
            let what = format!("tenant {number} was given {customer}, which is {is}");
            self.sim_broken(format!("{what}; its column says {column:?}"));
        }
    }
}
