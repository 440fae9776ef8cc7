//! Whose a Customer is that Stripe shows, by its metadata.
//!
//! A tenant's id is unique in one application only: two products of one company, on one Stripe
//! account, both have a tenant 7. To hand out somebody else's Customer is worse than to create a
//! second one, so an id alone proves nothing unless it is a UUID, which nobody else has.

use crate::{
    answer::Customer,
    ids::{self, InstallationId, MetadataKey, TenantId},
    request::{INSTALLATION_KEY, TENANT_KEY},
};

/// What to do about a Customer that names a tenant of ours, and no installation: other software made
/// it, or it is ours and somebody has edited its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmarked {
    /// It is taken for ours.
    Adopt,
    /// Nothing is created or adopted until an operator has looked at it.
    Stop,
    /// It is passed over.
    Ignore,
}

impl Unmarked {
    /// # Errors
    /// [`Invalid`](ids::Invalid) for field `unmarked` unless it is `adopt`, `stop` or `ignore`.
    pub fn parse(text: &str) -> Result<Self, ids::Invalid> {
        match text {
            "adopt" => Ok(Self::Adopt),
            "stop" => Ok(Self::Stop),
            "ignore" => Ok(Self::Ignore),
            _ => Err(ids::Invalid::new("unmarked", "is none of adopt, stop and ignore")),
        }
    }
}

/// How a tenant's Customers are recognized.
pub(crate) struct Ownership<'a> {
    pub(crate) tenant: &'a TenantId,
    /// See [`View::uuid_keys`](crate::state::View::uuid_keys).
    pub(crate) uuid_keys: bool,
    pub(crate) installation: &'a InstallationId,
    /// Metadata keys of other software that name a tenant, beside ours.
    pub(crate) other_keys: &'a [MetadataKey],
    /// `None`: as certain as the tenant's id.
    pub(crate) unmarked: Option<Unmarked>,
}

/// Whose a Customer is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Ours,
    /// Another installation's, which has a tenant of the same id.
    Foreign(InstallationId),
    /// It may be ours or another application's, and an operator must say which.
    Unclear,
    /// It is none of this tenant's, or is to be passed over.
    Other,
}

impl Ownership<'_> {
    pub(crate) fn of(&self, customer: &Customer) -> Owner {
        let mark = customer.metadata(INSTALLATION_KEY);
        let mark = mark.and_then(|mark| InstallationId::parse(mark).ok());
        let ours = customer.metadata(TENANT_KEY).is_some_and(|text| self.is_exactly(text));
        match mark {
            Some(mark) if mark == *self.installation => {
                if ours {
                    Owner::Ours
                } else {
                    Owner::Other
                }
            }
            Some(mark) if ours => Owner::Foreign(mark),
            Some(_) => Owner::Other,
            None => self.unmarked(customer),
        }
    }

    fn unmarked(&self, customer: &Customer) -> Owner {
        let names = names(customer, self.other_keys);
        let mut names = names.filter(|text| same(self.tenant, text)).peekable();
        if names.peek().is_none() {
            return Owner::Other;
        }
        let certain = ids::uuid(self.tenant.as_str()).is_some();
        let certain = certain && names.any(|text| self.is_exactly(text));
        let by_default = if certain { Unmarked::Adopt } else { Unmarked::Stop };
        match self.unmarked.unwrap_or(by_default) {
            Unmarked::Adopt => Owner::Ours,
            Unmarked::Stop => Owner::Unclear,
            Unmarked::Ignore => Owner::Other,
        }
    }

    /// Whether the database takes this text for the tenant's key.
    fn is_exactly(&self, text: &str) -> bool {
        text == self.tenant.as_str() || self.uuid_keys && same(self.tenant, text)
    }
}

/// Whether a Customer names this tenant, in any spelling, under any of these keys or our own.
pub(crate) fn names_tenant(
    customer: &Customer,
    tenant: &TenantId,
    other_keys: &[MetadataKey],
) -> bool {
    names(customer, other_keys).any(|text| same(tenant, text))
}

fn names<'a>(
    customer: &'a Customer,
    other_keys: &'a [MetadataKey],
) -> impl Iterator<Item = &'a str> {
    tenant_keys(other_keys).filter_map(|key| customer.metadata(key))
}

/// The metadata keys that name a tenant.
pub(crate) fn tenant_keys(other_keys: &[MetadataKey]) -> impl Iterator<Item = &str> {
    std::iter::once(TENANT_KEY).chain(other_keys.iter().map(MetadataKey::as_str))
}

/// Whether a text spells this tenant's id, which for a UUID it may do in many ways.
fn same(tenant: &TenantId, text: &str) -> bool {
    let tenant = tenant.as_str();
    text == tenant || ids::uuid(tenant).is_some_and(|uuid| ids::uuid(text) == Some(uuid))
}

/// The spellings of a tenant's id that a search asks for: of a UUID, all that are common. (A search
/// compares texts.)
pub(crate) fn spellings(tenant: &TenantId) -> Vec<String> {
    let mut spellings = vec![tenant.to_string()];
    if let Some(uuid) = ids::uuid(tenant.as_str()) {
        let (hyphenated, simple) = (uuid.hyphenated().to_string(), uuid.simple().to_string());
        for lower in [hyphenated.clone(), simple, format!("{{{hyphenated}}}")] {
            for spelling in [lower.to_uppercase(), lower] {
                if !spellings.contains(&spelling) {
                    spellings.push(spelling);
                }
            }
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    const SPELLED: [&str; 4] = [
        "7C9E6679-7425-40DE-944B-E07FC1F90AE7",
        "7c9e6679742540de944be07fc1f90ae7",
        "{7c9e6679-7425-40de-944b-e07fc1f90ae7}",
        "{7c9e-66797425-40de-944be07f-c1f90ae7}",
    ];
    const ADOPT: Option<Unmarked> = Some(Unmarked::Adopt);
    const STOP: Option<Unmarked> = Some(Unmarked::Stop);
    const IGNORE: Option<Unmarked> = Some(Unmarked::Ignore);

    fn id(text: &str) -> InstallationId {
        InstallationId::parse(text).unwrap()
    }

    /// Whose a Customer with this metadata is, for a tenant of this id.
    fn owner(
        tenant: &str,
        uuid_keys: bool,
        unmarked: Option<Unmarked>,
        metadata: &[(&str, &str)],
    ) -> Owner {
        let (tenant, ours) = (TenantId::parse(tenant).unwrap(), id("ours-ours"));
        let other_keys = [MetadataKey::parse("userId").unwrap()];
        let metadata: serde_json::Map<_, _> =
            metadata.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let object = serde_json::json!({"id": "cus_1", "object": "customer", "metadata": metadata});
        let customer = Customer::parse(object.to_string().as_bytes()).unwrap();
        let other_keys = &other_keys;
        Ownership { tenant: &tenant, uuid_keys, installation: &ours, other_keys, unmarked }
            .of(&customer)
    }

    #[test]
    fn a_mark_says_whose_it_is() {
        let marked = |tenant, uuid_keys, named, mark| {
            owner(tenant, uuid_keys, ADOPT, &[(TENANT_KEY, named), (INSTALLATION_KEY, mark)])
        };
        assert_eq!(marked("7", false, "7", "ours-ours"), Owner::Ours);
        assert_eq!(marked("7", false, "7", "another-1"), Owner::Foreign(id("another-1")));
        for mark in ["ours-ours", "another-1"] {
            assert_eq!(marked("7", false, "8", mark), Owner::Other);
            // We write the database's spelling. In a text column another one is another tenant.
            assert_eq!(marked(UUID, false, SPELLED[0], mark), Owner::Other);
        }
        assert_eq!(marked(UUID, true, SPELLED[0], "ours-ours"), Owner::Ours);
        assert_eq!(marked(UUID, true, SPELLED[0], "another-1"), Owner::Foreign(id("another-1")));
        // No version of this program writes such a mark.
        assert_eq!(marked("7", false, "7", "?"), Owner::Ours);
        // Other software's key beside our mark proves nothing.
        let edited = [("userId", "7"), (INSTALLATION_KEY, "ours-ours")];
        assert_eq!(owner("7", false, ADOPT, &edited), Owner::Other);
    }

    #[test]
    fn without_a_mark_the_policy_says_it_and_by_default_the_tenants_id() {
        for key in [TENANT_KEY, "userId"] {
            let unmarked = |tenant, uuid_keys, policy, named| {
                owner(tenant, uuid_keys, policy, &[(key, named)])
            };
            for (tenant, by_default) in
                [("7", Owner::Unclear), ("acme", Owner::Unclear), (UUID, Owner::Ours)]
            {
                assert_eq!(unmarked(tenant, false, None, tenant), by_default, "{tenant}");
                assert_eq!(unmarked(tenant, false, ADOPT, tenant), Owner::Ours);
                assert_eq!(unmarked(tenant, false, STOP, tenant), Owner::Unclear);
                assert_eq!(unmarked(tenant, false, IGNORE, tenant), Owner::Other);
                assert_eq!(unmarked(tenant, false, ADOPT, "another"), Owner::Other);
            }
            for spelling in SPELLED {
                assert_eq!(unmarked(UUID, true, None, spelling), Owner::Ours, "{spelling}");
                // A text column may hold both spellings, as two tenants.
                assert_eq!(unmarked(UUID, false, None, spelling), Owner::Unclear, "{spelling}");
            }
        }
        assert_eq!(owner("7", false, ADOPT, &[("orgId", "7")]), Owner::Other);
        assert_eq!(owner("7", false, ADOPT, &[("tenantid", "7")]), Owner::Other);
        assert_eq!(owner("7", false, ADOPT, &[]), Owner::Other);
    }

    #[test]
    fn a_search_asks_for_the_common_spellings() {
        assert_eq!(spellings(&TenantId::parse("acme").unwrap()), ["acme"]);
        let all = spellings(&TenantId::parse(UUID).unwrap());
        assert_eq!(all.len(), 6);
        assert_eq!(all[0], UUID);
        assert!(SPELLED[..3].iter().all(|spelling| all.iter().any(|it| it == spelling)));
        assert!(all.iter().all(|it| ids::uuid(it) == ids::uuid(UUID)));
    }

    #[test]
    fn policies_have_names() {
        for (text, policy) in [("adopt", ADOPT), ("stop", STOP), ("ignore", IGNORE)] {
            assert_eq!(Unmarked::parse(text).ok(), policy);
        }
        assert_eq!(Unmarked::parse("Adopt").unwrap_err().field, "unmarked");
    }
}
