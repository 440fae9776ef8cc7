//! Form-encoded parameters, in the one form in which they are compared and kept.
//!
//! The order of parameters does not matter. Each name is there once, with its last value, and the
//! elements of an array `name[]` are numbered `name[0]`, `name[1]`, as Stripe's own SDKs send them.
//! So two requests are the same exactly if their forms are equal, and a Customer can be kept as the
//! form that made it.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::ids;

/// Parameters by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Form(pub(crate) BTreeMap<String, String>);

impl Form {
    /// Decodes a query and a body. A value in the body replaces one in the query.
    pub(crate) fn decode(query: &[u8], body: &[u8]) -> Form {
        let mut form = Form::default();
        for source in [query, body] {
            let mut elements = Elements::default();
            for (name, value) in form_urlencoded::parse(source) {
                form.0.insert(elements.number(name.into_owned()), value.into_owned());
            }
        }
        form
    }

    pub(crate) fn of(name: &str, value: &str) -> Form {
        Form(BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All parameters, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All parameters below `outer[…]`, each with the rest of its name after `outer`.
    pub(crate) fn below<'a>(&'a self, outer: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.0.range::<str, _>((Bound::Included(outer), Bound::Unbounded));
        from.take_while(move |(name, _)| name.starts_with(outer))
            .filter_map(move |(name, value)| Some((name.strip_prefix(outer)?, value.as_str())))
            .filter(|(rest, _)| rest.starts_with('['))
    }

    /// Whether anything is below `outer[…]`.
    pub(crate) fn has(&self, outer: &str) -> bool {
        self.below(outer).next().is_some()
    }

    /// The values of an array of plain values, in its order.
    pub(crate) fn array<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let mut values: Vec<(u32, &str)> = self
            .below(name)
            .filter_map(|(rest, value)| Some((inside(rest)?.parse().ok()?, value)))
            .collect();
        values.sort_unstable();
        values.into_iter().map(|(_, value)| value).collect()
    }

    /// A hash that equal forms share.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut text = Vec::new();
        for part in self.iter().flat_map(|(name, value)| [name, value]) {
            text.extend_from_slice(&part.len().to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        ids::hash(&text)
    }
}

impl FromIterator<(String, String)> for Form {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Form {
        Form(pairs.into_iter().collect())
    }
}

/// The text inside a name that is a single pair of brackets.
pub(crate) fn inside(name: &str) -> Option<&str> {
    name.strip_prefix('[')?.strip_suffix(']')
}

/// Numbers the elements of arrays. The first `[]` of a name begins a new element if the present
/// element has a value for the rest of the name already.
#[derive(Default)]
struct Elements(BTreeMap<String, (usize, Vec<String>)>);

impl Elements {
    fn number(&mut self, name: String) -> String {
        let array = name.split_once("[]").filter(|(outer, _)| !outer.is_empty());
        // An empty metadata key is not an array. The endpoint refuses it later.
        let Some((outer, rest)) = array.filter(|_| !name.starts_with("metadata")) else {
            return name;
        };
        let (at, seen) = self.0.entry(outer.to_owned()).or_default();
        if seen.iter().any(|known| known == rest) {
            *at += 1;
            seen.clear();
        }
        seen.push(rest.to_owned());
        format!("{outer}[{at}]{rest}")
    }
}

#[cfg(test)]
mod tests {
    use parser_inputs::{bytes, check, letters};
    use proptest::prelude::Strategy;

    use super::Form;

    const WORDS: &[&str] = &[
        "a",
        "b",
        "[]",
        "[0]",
        "[1]",
        "[x]",
        "metadata",
        "[plan]",
        "expand",
        "=",
        "&",
        "%5B%5D",
        "+",
        "%e9",
        "[",
        "]",
        "[+1]",
        "[4294967296]",
        "email=x%40y",
        "enabled_events",
    ];

    #[test]
    fn arrays_are_numbered_by_what_repeats() {
        // A form, and the same as Stripe's SDKs write it.
        for (form, numbered) in [
            ("a[]=1&a[]=2&a[]=3", "a[0]=1&a[1]=2&a[2]=3"),
            ("a[][x]=1&a[][y]=2&a[][x]=3&a[][y]=4", "a[0][x]=1&a[0][y]=2&a[1][x]=3&a[1][y]=4"),
            ("a[][x]=1&a[][x]=2&a[][y]=3", "a[0][x]=1&a[1][x]=2&a[1][y]=3"),
            ("a[b][]=1&a[c][]=2", "a[b][0]=1&a[c][0]=2"),
            ("b=1&a=2&b=3", "a=2&b=3"),
        ] {
            let (one, two) =
                (Form::decode(b"", form.as_bytes()), Form::decode(numbered.as_bytes(), b""));
            assert_eq!(one, two, "{form}");
            assert_eq!(one.fingerprint(), two.fingerprint());
        }
        let form = Form::decode(b"a=1&b=2", b"a=3&metadata[]=x");
        assert_eq!((form.get("a"), form.get("b")), (Some("3"), Some("2")));
        assert_eq!(form.get("metadata[]"), Some("x"));
        assert_eq!(Form::decode(b"", b"a[]=2&a[]=1").array("a"), ["2", "1"]);
    }

    /// A form that is written out and decoded again is the same form.
    #[test]
    fn any_bytes_are_a_form() {
        let name = || letters("ab[]x01", 1..=6);
        let good =
            (name(), name()).prop_map(|(a, b)| format!("a[]=1&{a}=%2B+&a[]={b}&a[x]={a}&{b}=2"));
        check(
            "form",
            (bytes(letters("ab[]=&0", 0..=8), WORDS), bytes(good, WORDS)),
            |(query, body)| {
                let form = Form::decode(&query, &body);
                let mut written = form_urlencoded::Serializer::new(String::new());
                written.extend_pairs(form.iter());
                let again = Form::decode(b"", written.finish().as_bytes());
                // The API has no arrays in arrays.
                let plain = form.iter().all(|(name, _)| !name.contains("[]"));
                assert!(!plain || (again == form && again.fingerprint() == form.fingerprint()));
                for outer in ["a", "expand", "enabled_events", ""] {
                    assert!(form.array(outer).len() <= form.below(outer).count());
                }
                form.array("a").len() > 1
            },
        );
    }
}
