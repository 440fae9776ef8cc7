//! A tenant's key in the type that the host's columns have.

use tenant_billing_core::ids::{Invalid, TenantId, uuid};
use uuid::Uuid;

/// The type of the tenants' keys in the host's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Uuid,
    Text,
    Integer,
}

/// A tenant's key, in a form that has only one spelling for each key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Uuid(Uuid),
    Text(String),
    Integer(i64),
}

impl KeyType {
    /// The type of keys in a column whose type has this name in `pg_catalog`, if we support it.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "uuid" => Some(Self::Uuid),
            "text" | "varchar" => Some(Self::Text),
            "int2" | "int4" | "int8" => Some(Self::Integer),
            _ => None,
        }
    }

    /// The SQL type in which keys are sent to the server and read from it.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Integer => "bigint",
        }
    }

    /// The key that this tenant id spells.
    pub(super) fn parse(self, tenant: &TenantId) -> Result<Key, Invalid> {
        let text = tenant.as_str();
        let wrong = |reason| Invalid::new("tenant_id", reason);
        Ok(match self {
            Self::Uuid => Key::Uuid(
                uuid(text).ok_or_else(|| wrong("is not a UUID, which this database requires"))?,
            ),
            Self::Text => Key::Text(text.to_owned()),
            Self::Integer => Key::Integer(
                text.parse().map_err(|_| wrong("is not a number, which this database requires"))?,
            ),
        })
    }
}

impl Key {
    /// The tenant id, in the database's spelling.
    pub(super) fn tenant(&self) -> Result<TenantId, Invalid> {
        match self {
            Self::Uuid(uuid) => TenantId::parse(uuid.hyphenated().encode_lower(&mut [0; 36])),
            Self::Text(text) => TenantId::parse(text),
            Self::Integer(number) => TenantId::parse(&number.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_keys() {
        let check = |kind: KeyType, text: &str, expected: Option<&str>| {
            let key = kind.parse(&TenantId::parse(text).unwrap());
            let read_back = key.map(|key| key.tenant().unwrap().as_str().to_owned());
            assert_eq!(read_back.ok().as_deref(), expected, "{text}");
        };
        let uuid = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
        check(KeyType::Uuid, uuid, Some(uuid));
        check(KeyType::Uuid, "{7C9E6679-7425-40DE-944B-E07FC1F90AE7}", Some(uuid));
        check(KeyType::Uuid, "7c9e6679742540de944be07fc1f90ae7", Some(uuid));
        check(KeyType::Uuid, "acme", None);
        check(KeyType::Text, "Acme/7", Some("Acme/7"));
        check(KeyType::Integer, "007", Some("7"));
        check(KeyType::Integer, "-7", Some("-7"));
        check(KeyType::Integer, "9223372036854775808", None);
        check(KeyType::Integer, "7.0", None);
    }

    /// All spellings of one key are read as the same key, which is spelled in one way.
    #[test]
    fn any_key() {
        use parser_inputs::{LETTERS, assert_silent, check, letters, texts};
        use proptest::{
            prelude::{Strategy, any},
            prop_oneof,
            sample::select,
        };

        const WORDS: &[&str] =
            &["7c9e6679-7425", "-40de-944b-", "e07fc1f90ae7", "{", "}", "urn:uuid:", "-", "0", "7"];
        let uuid = any::<u128>().prop_map(|bits| Uuid::from_u128(bits).to_string());
        let good =
            prop_oneof![uuid, any::<i64>().prop_map(|it| it.to_string()), letters(LETTERS, 1..=12)];
        let kinds = select(&[KeyType::Uuid, KeyType::Text, KeyType::Integer][..]);
        check("tenant's key", (texts(good, WORDS), kinds), |(text, kind)| {
            let Ok(tenant) = TenantId::parse(&text) else {
                return false;
            };
            match kind.parse(&tenant) {
                Ok(key) => {
                    let spelled = key.tenant().unwrap();
                    assert_eq!(kind.parse(&spelled), Ok(key), "{text:?}");
                    assert!(kind != KeyType::Text || spelled == tenant);
                    true
                }
                Err(invalid) => {
                    assert_eq!(invalid.field, "tenant_id");
                    assert_silent(&invalid.to_string(), &text);
                    false
                }
            }
        });
    }
}
