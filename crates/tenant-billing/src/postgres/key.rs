//! A tenant's key, as the host's columns hold it.

use tenant_billing_core::ids::{Invalid, TenantId};
use uuid::Uuid;

/// A tenant's key as the host's columns hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Uuid,
    Text,
    Integer,
}

/// One such key, in the database's own spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Uuid(Uuid),
    Text(String),
    Integer(i64),
}

impl KeyType {
    /// The one of a column of this type.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "uuid" => Some(Self::Uuid),
            "text" | "character varying" => Some(Self::Text),
            "smallint" | "integer" | "bigint" => Some(Self::Integer),
            _ => None,
        }
    }

    /// The type that carries keys to the server and back.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Integer => "bigint",
        }
    }

    /// What the database would make of this spelling.
    pub(super) fn key(self, tenant: &TenantId) -> Result<Key, Invalid> {
        let text = tenant.as_str();
        let wrong = |reason| Invalid::new("tenant_id", reason);
        Ok(match self {
            Self::Uuid => Key::Uuid(
                Uuid::try_parse(text)
                    .map_err(|_| wrong("is not a UUID, which this database asks for"))?,
            ),
            Self::Text => Key::Text(text.to_owned()),
            Self::Integer => Key::Integer(
                text.parse().map_err(|_| wrong("is not a number, which this database asks for"))?,
            ),
        })
    }
}

impl Key {
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
            let key = kind.key(&TenantId::parse(text).unwrap());
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

    /// What the database takes a spelling for, it spells in one way.
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
            match kind.key(&tenant) {
                Ok(key) => {
                    let spelled = key.tenant().unwrap();
                    assert_eq!(kind.key(&spelled), Ok(key), "{text:?}");
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
