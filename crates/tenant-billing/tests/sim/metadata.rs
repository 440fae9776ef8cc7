//! What people do to a Customer's metadata in Stripe's dashboard.

use jiff::SignedDuration;
use tenant_billing::{
    Unmarked,
    ids::TenantId,
    request::{INSTALLATION_KEY, TENANT_KEY},
};

use crate::{
    customer::Maker,
    host::{TENANTS, tenant},
    ops::{Meddling, Settings},
    world::World,
};

/// Nobody edits a Customer before Stripe's events show it.
const SHOWS: SignedDuration = SignedDuration::from_hours(2);

impl World {
    /// Somebody edits the metadata of a live Customer that we or the second application made.
    pub(super) fn meddle(&mut self, of: u8, nth: u8, how: Meddling) {
        let (of, now) = (tenant(of), self.now());
        let other = (0..TENANTS).map(tenant).find(|it| *it != of).expect("two tenants");
        // Whoever adopts what has no mark, at once or when he is asked, has said that nobody else's
        // is without one.
        let Settings { unmarked, unmarked_are_theirs, .. } = self.sim.settings;
        let adopts = match unmarked {
            Some(Unmarked::Ignore) => false,
            Some(Unmarked::Stop) => !unmarked_are_theirs,
            Some(Unmarked::Adopt) | None => true,
        };
        let edited = {
            let mut state = self.sim.state();
            let mut theirs: Vec<_> = state
                .book
                .customers
                .iter_mut()
                .filter(|it| it.tenant == of.as_str() && it.deleted_at.is_none())
                .filter(|it| now.duration_since(it.made_at) > SHOWS)
                .filter(|it| match it.maker {
                    Maker::Us(_) => true,
                    Maker::Second(_) => {
                        how != Meddling::Rename && !(adopts && how == Meddling::Unmark)
                    }
                    Maker::Host | Maker::Foreign | Maker::Legacy => false,
                })
                .collect();
            let many = theirs.len().max(1);
            let Some(it) = theirs.get_mut(usize::from(nth) % many) else {
                return;
            };
            match how {
                Meddling::Unmark => drop(it.metadata.remove(INSTALLATION_KEY)),
                Meddling::Unname => drop(it.metadata.remove(TENANT_KEY)),
                Meddling::Rename => name(&mut it.metadata, other.to_string()),
                Meddling::Respell => name(&mut it.metadata, of.as_str().to_uppercase()),
            }
            it.edited |= how != Meddling::Respell;
            it.id.clone()
        };
        if self.remade.is_some() && how != Meddling::Respell {
            // Nothing shows any more that it is a lost installation's.
            self.remade = Some(false);
        }
        match how {
            Meddling::Unmark => (0..TENANTS).for_each(|it| self.touch(it).unmarked = true),
            // Whoever edits it so gives it to the other tenant.
            Meddling::Rename => self.given_in_the_dashboard(&of, &other, edited),
            Meddling::Unname | Meddling::Respell => {}
        }
    }

    fn given_in_the_dashboard(&mut self, from: &TenantId, to: &TenantId, id: String) {
        self.touched.entry(from.clone()).or_default().by_host = true;
        let touched = self.touched.entry(to.clone()).or_default();
        touched.by_host = true;
        touched.given.insert(id);
    }
}

/// Changes a name that is there.
fn name(metadata: &mut std::collections::BTreeMap<String, String>, tenant: String) {
    if let Some(named) = metadata.get_mut(TENANT_KEY) {
        *named = tenant;
    }
}
