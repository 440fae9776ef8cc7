//! The promises, asserted of what Stripe holds and of what the database says of it.

use rusqlite::Row;
use tenant_billing::{ids::TenantId, request::INSTALLATION_KEY};

use crate::{
    customer::Maker,
    host::{TENANTS, tenant},
    world::World,
};

/// Which event belongs to a row's arrival in a state.
fn kinds(state: &str) -> &'static [&'static str] {
    match state {
        "pending" => &["opened", "reopened"],
        "in_doubt" => &["in_doubt", "opened"],
        "rejected" => &["rejected"],
        "vacant" => &["vacated"],
        _ => &["created", "adopted", "rebound", "closed"],
    }
}

/// An entry of the audit trail.
pub(crate) struct Entry {
    id: i64,
    pub(crate) tenant: String,
    pub(crate) at: i64,
    pub(crate) kind: String,
    generation: i64,
    customer: Option<String>,
}

/// A change of a row or a column, as the triggers saw it.
struct Seen<T> {
    tenant: String,
    was: Option<T>,
    now: Option<T>,
    /// The newest entry of the trail before its own transaction wrote any.
    event: i64,
}

#[derive(Clone)]
struct Step {
    version: i64,
    generation: i64,
    state: String,
}

impl World {
    /// The live Customers that we created for a tenant, without those that an operator unbound; of
    /// all installations, or without those that the loss of our tables has orphaned.
    fn ours(&self, of: &TenantId, all: bool) -> Vec<String> {
        let now = self.now();
        let live: Vec<String> = {
            let state = self.sim.state();
            let installation = state.remade.as_ref().filter(|_| !all).map(|it| &it.1);
            let ours = state.book.customers.iter().filter(|it| {
                let ours = matches!(it.maker, Maker::Us(_)) && it.tenant == of.as_str();
                let orphaned =
                    installation.is_some() && it.metadata.get(INSTALLATION_KEY) != installation;
                let orphaned = orphaned || it.is_past_knowing(now);
                ours && !orphaned && it.deleted_at.is_none()
            });
            ours.map(|it| it.id.clone()).collect()
        };
        // A Customer from before the loss may be bound while the first one since is under way.
        let reason = if all || self.remade.is_none() { "= 'unbound'" } else { "IS NOT NULL" };
        let set_aside = |id: &String| {
            let sql = format!("SELECT 1 FROM surplus_customer WHERE customer_id = '{id}'");
            self.host.holds(&format!("{sql} AND reason {reason}"))
        };
        live.into_iter().filter(|id| !set_aside(id)).collect()
    }

    /// P1: at most one.
    pub(crate) fn at_most_one(&self) {
        for of in (0..TENANTS).map(tenant) {
            let live = {
                let state = self.sim.state();
                let ours = |it: &&crate::customer::Customer| {
                    it.tenant == of.as_str() && it.deleted_at.is_none()
                };
                state.book.customers.iter().filter(ours).count()
            };
            if live > 1 && self.sim.state().broken.is_empty() {
                let ours = self.ours(&of, self.remade.unwrap_or(true));
                if ours.len() > 1 {
                    self.sim_broken(format!(
                        "tenant {of} has {} live Customers: {ours:?}",
                        ours.len()
                    ));
                }
            }
        }
    }

    /// P2: each is bound or on record. Before somebody `called` again, a row that was lost, a
    /// backup that was restored and a column that the host nulled need not be made good.
    pub(crate) fn none_is_lost(&self, called: bool) {
        for of in (0..TENANTS).map(tenant) {
            let touched = &self.touched[&of];
            let column = self.host.column(&of);
            // Nobody asks for a tenant that is gone, and what a restored backup forgot of it is for
            // a reconcile to find; so is what it forgot of one whose host has bound another.
            let asked = self.host.exists(&of) && self.deeds.asked_for(&of);
            let asked = called && asked;
            let hosts = column.as_ref().is_some_and(|it| self.put_by_host(&of, it));
            let restored = self.restored_at.is_some() && self.remade.is_none();
            let forgiven = touched.row_lost || restored;
            if forgiven && (!asked || hosts) {
                continue;
            }
            // What only an operator can find is under way until one does: nothing is created
            // meanwhile.
            if self.is_stuck(&of) || touched.remade_midway {
                continue;
            }
            for id in self.ours(&of, false) {
                // Whether it is bound is for the host to say, who has moved it.
                if self.was_moved(&id) {
                    continue;
                }
                let row = format!("SELECT 1 FROM customer_provisioning WHERE tenant_id = '{of}'");
                let provisioned = self.host.holds(&format!("{row} AND customer_id = '{id}'"));
                let surplus = format!("SELECT 1 FROM surplus_customer WHERE customer_id = '{id}'");
                let surplus = format!("{surplus} AND tenant_id = '{of}' AND resolved_at IS NULL");
                let bound = column.as_ref() == Some(&id);
                let elsewhere = provisioned && touched.by_host && (!asked || hosts);
                // Known limit: an inquiry that finds one which somebody has given to the tenant in the
                // dashboard looks for no other, which a stored failure may leave behind later.
                let given = column.as_ref().is_some_and(|it| touched.given.contains(it.as_str()));
                if !bound && !elsewhere && !given && !self.host.holds(&surplus) {
                    let row = "SELECT state || ' ' || generation FROM customer_provisioning";
                    let row = format!("{row} WHERE tenant_id = '{of}'");
                    let state = self.host.cell::<String>(&row);
                    let what = format!("{id} of {of} is neither bound nor on record");
                    self.sim_broken(format!("{what}; row {state:?}, column {column:?}"));
                }
            }
        }
    }

    /// Whether the host has put this Customer into the tenant's column.
    fn put_by_host(&self, of: &TenantId, id: &str) -> bool {
        let made = self.sim.state().book.find(id).is_some_and(|it| it.maker == Maker::Host);
        made || self.touched[of].given.contains(id)
    }

    /// Whether the host has ever moved this Customer into another column.
    pub(crate) fn was_moved(&self, id: &str) -> bool {
        self.touched.values().any(|it| it.given.contains(id))
    }

    /// Whether a Customer of this tenant, or one that its row is provisioned with, is in another
    /// tenant's column now, where the host has moved it or has left it. Then only an operator can
    /// help.
    pub(crate) fn has_one_elsewhere(&self, of: &TenantId) -> bool {
        let row = format!("SELECT customer_id FROM customer_provisioning WHERE tenant_id = '{of}'");
        let provisioned = self.host.cell::<String>(&row);
        let others = (0..TENANTS).map(tenant).filter(|it| it != of);
        others.filter_map(|it| self.host.column(&it)).any(|id| {
            let theirs = self.sim.state().book.find(&id).is_some_and(|it| it.tenant == of.as_str());
            let given = self.touched[of].given.contains(&id);
            self.was_moved(&id) && (theirs || given || provisioned.as_ref() == Some(&id))
        })
    }

    /// The trail tells every step, in order, and nothing ever went back.
    pub(crate) fn trail_is_complete(&self) {
        let trail = self.trail();
        let rows = self.seen("sim_row", |row| {
            let step = |at: [usize; 3]| -> rusqlite::Result<Option<Step>> {
                let version: Option<i64> = row.get(at[0])?;
                Ok(match version {
                    Some(version) => {
                        Some(Step { version, generation: row.get(at[1])?, state: row.get(at[2])? })
                    }
                    None => None,
                })
            };
            Ok((step([2, 4, 6])?, step([3, 5, 7])?, row.get(9)?))
        });
        let columns = self.seen("sim_column", |row| Ok((row.get(2)?, row.get(3)?, row.get(5)?)));
        let mut marks: Vec<i64> = rows.iter().map(|it| it.event).collect();
        marks.extend(columns.iter().map(|it| it.event));
        // The entries of the transaction that made a change: those up to the next change.
        let own = |event: i64, tenant: &str| {
            let until = marks.iter().copied().filter(|it| *it > event).min().unwrap_or(i64::MAX);
            let own = trail.iter().filter(move |it| it.id > event && it.id <= until);
            own.filter(|it| it.tenant == tenant).collect::<Vec<_>>()
        };
        for Seen { tenant, was, now, event } in &columns {
            let (kinds, customer): (&[_], _) = match now {
                Some(_) => (&["created", "adopted", "rebound"], now),
                None => (&["cleared"], was),
            };
            if let (Some(was), Some(now)) = (was, now) {
                self.sim_broken(format!("{now} took the place of {was} in the column of {tenant}"));
            }
            let told = own(*event, tenant);
            if !told.iter().any(|it| kinds.contains(&&*it.kind) && it.customer == *customer) {
                self.sim_broken(format!(
                    "no event tells that {tenant} went from {was:?} to {now:?}"
                ));
            }
            if let Some(id) = now {
                self.is_ours_to_bind(tenant, id);
            }
        }
        for seen in &rows {
            self.step_is_told(seen, &trail, &own(seen.event, &seen.tenant));
        }
        let dead = "SELECT now FROM sim_column WHERE by_host = 0 AND dead = 1";
        if let Some(id) = self.host.cell::<String>(dead) {
            self.sim_broken(format!("{id} was bound though it was on record as deleted"));
        }
        self.trail_is_in_order(&trail);
        let events = "SELECT detail || coalesce(request_id, '') AS text FROM billing_event";
        let rows = "SELECT coalesce(last_error, '') || coalesce(rejection_message, '')";
        let texts = format!("SELECT text FROM ({events} UNION {rows} FROM customer_provisioning)");
        if let Some(text) = self.host.cell::<String>(&format!("{texts} WHERE text LIKE '%@%'")) {
            self.sim_broken(format!("an e-mail address is on record: {text}"));
        }
    }

    fn step_is_told(&self, seen: &Seen<Step>, trail: &[Entry], told: &[&Entry]) {
        let Seen { tenant, was, now, event } = seen;
        let Some(now) = now else {
            return self.sim_broken(format!("the row of {tenant} was deleted"));
        };
        let known = trail.iter().filter(|it| it.id <= *event && it.tenant == *tenant);
        let known = known.map(|it| it.generation).max().unwrap_or(0);
        let (version, generation) = match was {
            Some(was) => (was.version + 1, was.generation),
            None => (1, known),
        };
        if now.version != version || now.generation < generation {
            self.sim_broken(format!(
                "the row of {tenant} went to version {} and generation {}, after {} and {}",
                now.version,
                now.generation,
                version - 1,
                generation
            ));
        }
        let moved = was
            .as_ref()
            .is_none_or(|was| was.state != now.state || was.generation != now.generation);
        if moved && !told.iter().any(|it| kinds(&now.state).contains(&&*it.kind)) {
            self.sim_broken(format!(
                "no event tells that the row of {tenant} became {}",
                now.state
            ));
        }
    }

    fn trail_is_in_order(&self, trail: &[Entry]) {
        for (before, entry) in trail.iter().zip(trail.iter().skip(1)) {
            if entry.at < before.at {
                self.sim_broken(format!("event {} is older than the one before it", entry.id));
            }
        }
        for of in (0..TENANTS).map(tenant) {
            let mut newest = 0;
            // A surplus Customer is of the generation that made it, and a tenant without row of
            // none.
            let counted = |it: &&Entry| it.kind != "surplus" && it.generation > 0;
            for entry in trail.iter().filter(|it| it.tenant == of.as_str()).filter(counted) {
                if entry.generation < newest {
                    self.sim_broken(format!("event {} goes back to an older generation", entry.id));
                }
                newest = newest.max(entry.generation);
            }
        }
    }

    /// P6: none of another tenant, another application or anybody else is bound. What the host
    /// itself bound to this tenant, and nulled since, is the tenant's: the row provisioned with it.
    /// So is what somebody has given to it in the dashboard.
    fn is_ours_to_bind(&self, tenant: &str, id: &str) {
        let by_host = format!("SELECT 1 FROM sim_column WHERE tenant = '{tenant}' AND by_host = 1");
        if self.host.holds(&format!("{by_host} AND now = '{id}'")) {
            return;
        }
        let of = TenantId::parse(tenant).expect("a tenant's id");
        let fair = self.touched[&of].given.contains(id) || {
            let state = self.sim.state();
            state.book.find(id).is_some_and(|it| {
                it.tenant == tenant && matches!(it.maker, Maker::Us(_) | Maker::Legacy)
            })
        };
        if !fair {
            self.sim_broken(format!("{id} was bound to {tenant}, whose it is not"));
        }
    }

    pub(crate) fn trail(&self) -> Vec<Entry> {
        let sql = "SELECT id, tenant_id, at, kind, generation, customer_id FROM billing_event ORDER BY id";
        let mut statement = self.host.sql.prepare(sql).expect("a statement");
        let entries = statement.query_map([], |row| {
            Ok(Entry {
                id: row.get(0)?,
                tenant: row.get(1)?,
                at: row.get(2)?,
                kind: row.get(3)?,
                generation: row.get(4)?,
                customer: row.get(5)?,
            })
        });
        entries.and_then(Iterator::collect).expect("a trail")
    }

    /// What the triggers saw that the host did not do.
    fn seen<T>(
        &self,
        table: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<(Option<T>, Option<T>, i64)>,
    ) -> Vec<Seen<T>> {
        let sql = format!("SELECT * FROM {table} WHERE by_host = 0 ORDER BY id");
        let mut statement = self.host.sql.prepare(&sql).expect("a statement");
        let seen = statement.query_map([], |row| {
            let (was, now, event) = read(row)?;
            Ok(Seen { tenant: row.get(1)?, was, now, event })
        });
        seen.and_then(Iterator::collect).expect("what was seen")
    }
}
