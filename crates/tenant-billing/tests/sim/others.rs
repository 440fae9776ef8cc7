//! What everybody else does to the world: the host in its tables, an operator, people in Stripe's
//! dashboard, and Stripe with its webhooks.

use jiff::SignedDuration;
use tenant_billing::{
    audit::Reason,
    ids::{CustomerId, TenantId},
    request::TENANT_KEY,
};

use crate::{
    customer::{Customer, Maker, USER_KEY, elsewhere},
    deeds::What,
    host::{TENANTS, tenant},
    ops::{Key, Mail, Stranger},
    world::{PROCESSES, Touched, World},
};

/// Known limit: a row deleted by hand while a process is between deciding and writing.
const DECIDES: SignedDuration = SignedDuration::from_secs(61);

impl World {
    pub(super) fn deliver_created(&mut self, process: u8, of: u8, nth: u8) {
        let told = {
            let state = self.sim.state();
            let of = tenant(of);
            let ours = state.book.customers.iter().filter(|it| it.tenant == of.as_str());
            let told = ours.filter_map(|it| match &it.maker {
                Maker::Us(key) => Some((key.clone(), it.id.clone())),
                Maker::Second(_) | Maker::Host | Maker::Foreign | Maker::Legacy => None,
            });
            let told: Vec<_> = told.collect();
            (!told.is_empty()).then(|| told[usize::from(nth) % told.len()].clone())
        };
        if let Some((key, id)) = told
            && self.key(process) == Key::Own
        {
            let billing = self.process(process).billing.clone();
            let id = CustomerId::parse(&id).expect("an id");
            self.run(
                process,
                What::Webhook,
                async move { billing.customer_created(&key, &id).await },
            );
        }
    }

    pub(crate) fn deliver_deleted(&mut self, process: u8, id: &str) {
        let billing = self.process(process).billing.clone();
        let id = CustomerId::parse(id).expect("an id");
        let work = async move { billing.customer_deleted(&id).await };
        self.run(process, What::Webhook, work);
    }

    /// Does something with one of the tenant's Customers, a deleted or a live one.
    pub(super) fn customer<T>(
        &self,
        of: u8,
        nth: u8,
        deleted: bool,
        act: impl FnOnce(&mut Customer) -> T,
    ) -> Option<T> {
        let of = tenant(of);
        let mut state = self.sim.state();
        let customers = state.book.customers.iter_mut();
        let mut theirs: Vec<_> = customers
            .filter(|it| it.tenant == of.as_str() && it.deleted_at.is_some() == deleted)
            .filter(|it| matches!(it.maker, Maker::Us(_) | Maker::Host | Maker::Legacy))
            .collect();
        if theirs.is_empty() {
            return None;
        }
        let at = usize::from(nth) % theirs.len();
        Some(act(theirs.swap_remove(at)))
    }

    pub(super) fn touch(&mut self, of: u8) -> &mut Touched {
        self.touched.entry(tenant(of)).or_default()
    }

    /// The host moves a live Customer of the tenant into another tenant's column, out of the column
    /// that holds it now, if one does. What the other column held before is overwritten.
    pub(super) fn move_customer(&mut self, of: u8, nth: u8) {
        let Some(id) = self.customer(of, nth, false, |it| it.id.clone()) else {
            return;
        };
        let holder = (0..TENANTS).map(tenant).find(|it| self.host.column(it).as_ref() == Some(&id));
        let from = holder.unwrap_or_else(|| tenant(of));
        let others = (0..TENANTS).map(tenant).filter(|it| *it != from);
        let Some(to) = others.into_iter().find(|it| self.host.exists(it)) else {
            return;
        };
        self.touched.entry(from).or_default().by_host = true;
        let touched = self.touched.entry(to.clone()).or_default();
        touched.by_host = true;
        touched.given.insert(id.clone());
        self.host.writes(&format!(
            "UPDATE tenant_config SET stripe_customer_id = NULL WHERE stripe_customer_id = '{id}';
             INSERT INTO tenant_config (id, tenant_id, stripe_customer_id)
             VALUES ('moved-{to}', '{to}', '{id}') ON CONFLICT (tenant_id)
             DO UPDATE SET stripe_customer_id = excluded.stripe_customer_id"
        ));
    }

    pub(super) fn overwrite(&mut self, of: &TenantId) {
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

    pub(super) fn register(&mut self, of: u8) {
        let now = self.now();
        if !self.host.exists(&tenant(of)) {
            if let Some(gone) = self.touch(of).gone.last_mut() {
                gone.1 = Some(now);
            }
            self.host.writes(&format!("INSERT INTO tenants (id) VALUES ('{}')", tenant(of)));
        }
    }

    pub(super) fn unbind(&mut self, process: u8, of: u8) {
        let of = tenant(of);
        let Some(bound) = self.host.column(&of) else {
            return;
        };
        self.touched.entry(of.clone()).or_default().unbound = true;
        let billing = self.process(process).billing.clone();
        let bound = CustomerId::parse(&bound).expect("an id");
        let reason = Reason::parse("simulated").expect("a reason");
        let work = async move { billing.unbind(&of, &bound, &reason).await.map(drop) };
        self.run(process, What::Unbind, work);
    }

    pub(super) fn restore(&mut self) {
        // Known limit: a restored backup forgets which Customers were unbound since. And a backup
        // from before our tables were made anew would bring the old ones back.
        if self.deeds.unbound_since(self.backed_up_at) || self.remade.is_some() {
            return;
        }
        // The database was down for it: every process is started again, now with `inquire_first`.
        // What they had sent is still on its way.
        (0..PROCESSES).for_each(|place| self.kill(place));
        self.host.restore();
        self.restored_at = Some(self.now());
        let now = self.now();
        for number in 0..TENANTS {
            let exists = self.host.exists(&tenant(number));
            let touched = self.touch(number);
            // The list of tenants, too, is an old one.
            match (exists, touched.gone.last_mut()) {
                (true, Some((_, until @ None))) => *until = Some(now),
                (false, Some((_, Some(_))) | None) => touched.gone.push((now, None)),
                _ => {}
            }
        }
    }

    /// Our tables are made anew. A backup would bring the old ones back, so there is none then.
    pub(super) fn remake(&mut self, known: bool) {
        if self.backed_up_at.is_some() || self.restored_at.is_some() && self.remade.is_none() {
            return;
        }
        // In test mode another installation's Customers are nobody's; without search, an inquiry
        // need not find them, nor without their mark; who was unbound is forgotten; and a copy may
        // have been declared another application under the id that is lost here.
        let settings = self.sim.settings;
        let unbound = self.touched.values().any(|it| it.unbound);
        let edited = self.sim.state().book.customers.iter().any(|it| it.edited);
        let copied = self.second.as_ref().is_some_and(|it| it.is_copy);
        let shows = known && settings.live && settings.search && !unbound && !edited && !copied;
        self.remade = Some(shows && self.remade != Some(false));
        let now = self.now();
        if !known {
            // Known limit: of two that are on their way, under the old tables and the new ones, one may
            // be left without a record.
            for number in 0..TENANTS {
                let row = format!("WHERE tenant_id = '{}'", tenant(number));
                let row = format!("SELECT 1 FROM customer_provisioning {row}");
                if self.host.holds(&format!("{row} AND state IN ('pending', 'in_doubt')")) {
                    self.touch(number).remade_midway = true;
                }
            }
        }
        if known {
            (0..PROCESSES).for_each(|place| self.kill(place));
            self.restored_at = Some(now);
        }
        for place in (0..PROCESSES).filter(|it| self.key(*it) != Key::Own).collect::<Vec<_>>() {
            self.start(place, Key::Own);
        }
        let installation = self.host.remake();
        self.sim.state().remade = Some((now, installation));
    }

    pub(super) fn lose_row(&mut self, of: u8) {
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

    pub(super) fn stranger(&mut self, of: &TenantId, kind: Stranger) {
        let now = self.now();
        let other = [(TENANT_KEY, "abcdef00-0000-4000-8000-999999999999")];
        let ours = [(TENANT_KEY, of.as_str())];
        let user = [(USER_KEY, of.as_str())];
        let foreign = elsewhere(of.as_str());
        let (maker, metadata): (_, &[_]) = match kind {
            Stranger::SameEmail => (Maker::Foreign, &[]),
            Stranger::OtherTenant => (Maker::Foreign, &other),
            Stranger::OtherInstallation => (Maker::Foreign, &foreign),
            Stranger::Legacy => (Maker::Legacy, &ours),
            Stranger::LegacyUser => (Maker::Legacy, &user),
            Stranger::OtherSoftware => (Maker::Foreign, &ours),
            Stranger::OtherUser => (Maker::Foreign, &user),
        };
        if kind == Stranger::OtherInstallation {
            self.touched.entry(of.clone()).or_default().foreign = true;
        }
        if metadata == ours || metadata == user {
            self.touched.entry(of.clone()).or_default().unmarked = true;
        }
        let email = Mail::Good.address();
        self.sim.state().book.make_foreign(maker, of.as_str(), email, metadata, now);
    }
}
