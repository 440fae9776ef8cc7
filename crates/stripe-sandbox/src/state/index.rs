//! The index of an account's Customers: from a field's value to the positions that have had it.
//!
//! The index keeps a hash of each value and no text. Whoever asks compares the Customer itself,
//! which search has to do anyway: with a lag it answers from what a Customer *was*. Two values whose
//! hashes collide merely share their positions.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::ids;

/// From a field's value to positions.
#[derive(Debug, Default)]
pub(crate) struct Index(BTreeSet<(u32, u32)>);

impl Index {
    /// Files a position under a field's value. A second time changes nothing.
    pub(super) fn insert(&mut self, field: &str, value: &str, position: u32) {
        self.0.insert((hash(field, value), position));
    }

    /// The positions within a range that are filed under a field's value, newest first, and perhaps some
    /// that are not.
    pub(crate) fn find(
        &self,
        field: &str,
        value: &str,
        within: Range<u32>,
    ) -> impl DoubleEndedIterator<Item = u32> + use<'_> {
        let hash = hash(field, value);
        let Range { start, end } = within;
        self.0.range((hash, start)..(hash, end.max(start))).rev().map(|(_, position)| *position)
    }
}

/// Search does not tell upper from lower case, so neither does the hash.
fn hash(field: &str, value: &str) -> u32 {
    ids::hash(format!("{field}\0{}", value.to_lowercase()).as_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn positions_are_found_newest_first() {
        let mut index = Index::default();
        for position in (0..1000).chain((0..1000).rev().step_by(3)) {
            index.insert("name", "common", position);
            index.insert("name", if position % 100 == 0 { "Rare" } else { "other" }, position);
        }
        let all: Vec<u32> = index.find("name", "common", 0..u32::MAX).collect();
        assert_eq!(all, (0..1000).rev().collect::<Vec<_>>());
        let rare: Vec<u32> = index.find("name", "rare", 200..800).collect();
        assert_eq!(rare, (200..800).step_by(100).rev().collect::<Vec<_>>());
        assert_eq!(index.find("email", "common", 0..u32::MAX).count(), 0);
    }
}
