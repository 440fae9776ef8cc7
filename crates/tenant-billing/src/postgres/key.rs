//! A tenant's key in the type that the host's columns have.

use std::borrow::Cow;

use tenant_billing_core::ids::{Invalid, TenantId, uuid};
use uuid::Uuid;

/// The type of the tenants' keys in the host's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Uuid,
    Text,
    /// `char(n)`. The server pads a value with blanks, and ignores them when it compares two
    /// values of this type. An id has no blanks, so each has one spelling without them.
    Char,
    /// Any type of whole numbers. It is sent and read with 64 bits.
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
    /// The SQL type in which keys are compared, so that an index on the column can be used.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Char => "bpchar",
            Self::Integer => "bigint",
        }
    }

    /// The SQL type in which keys are read.
    pub(super) fn read_as(self) -> &'static str {
        match self {
            // This takes the blanks away.
            Self::Char => "text",
            Self::Uuid | Self::Text | Self::Integer => self.sql(),
        }
    }

    /// Its name on record and in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Char => "char",
            Self::Integer => "a whole number",
        }
    }

    /// A regular expression for the ids that are spelled as this type's keys are.
    pub(super) fn spelled(self) -> &'static str {
        match self {
            Self::Uuid => "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            Self::Text | Self::Char => "^",
            Self::Integer => "^(0|-?[1-9][0-9]{0,18})$",
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
            Self::Text | Self::Char => Key::Text(text.to_owned()),
            Self::Integer => Key::Integer(text.parse().map_err(|_| {
                wrong("is not a whole number of up to 64 bits, which this database requires")
            })?),
        })
    }
}

impl Key {
    /// The tenant id, in the database's spelling.
    pub(super) fn tenant(&self) -> Result<TenantId, Invalid> {
        TenantId::parse(&self.spelled())
    }

    /// The same as text, which may be no tenant id.
    pub(super) fn spelled(&self) -> Cow<'_, str> {
        match self {
            Self::Uuid(uuid) => uuid.hyphenated().to_string().into(),
            Self::Text(text) => text.into(),
            Self::Integer(number) => number.to_string().into(),
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
        let kinds = select(&[KeyType::Uuid, KeyType::Text, KeyType::Char, KeyType::Integer][..]);
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
