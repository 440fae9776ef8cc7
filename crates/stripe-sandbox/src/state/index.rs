//! The index of an account's Customers: from a field's value to the positions that have had it.
//!
//! The index keeps a hash of each value and no text. Whoever asks compares the Customer itself,
//! which search has to do anyway: with a lag it answers from what a Customer *was*. Two values
//! whose hashes collide merely share their positions.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::ids;

/// The number of recent entries above which they are merged, beside a sixteenth of the old ones.
const RECENT: usize = 1024;

/// A hash and a position.
type Entry = (u32, u32);

/// From a field's value to positions.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The old entries, sorted. A sorted list takes half the memory of a tree.
    old: Vec<Entry>,
    recent: BTreeSet<Entry>,
}

impl Index {
    /// Files a position under a field's value. A second time changes nothing.
    pub(super) fn insert(&mut self, field: &str, value: &str, position: u32) {
        self.recent.insert((hash(field, value), position));
        if self.recent.len() > RECENT + self.old.len() / 16 {
            self.merge();
        }
    }

    /// Merges the recent entries into the old ones, from the back and so without a second list.
    fn merge(&mut self) {
        let mut left = self.old.len();
        self.old.reserve_exact(self.recent.len());
        self.old.resize(left + self.recent.len(), Entry::default());
        let mut free = self.old.len();
        for entry in std::mem::take(&mut self.recent).into_iter().rev() {
            while left > 0 && self.old[left - 1] > entry {
                (left, free) = (left - 1, free - 1);
                self.old[free] = self.old[left];
            }
            free -= 1;
            self.old[free] = entry;
        }
        self.old.dedup();
    }

    /// The positions within a range that are filed under a field's value, newest first, and perhaps
    /// some that are not.
    pub(crate) fn find(
        &self,
        field: &str,
        value: &str,
        within: Range<u32>,
    ) -> impl DoubleEndedIterator<Item = u32> + use<> {
        let (old, recent) = self.entries(hash(field, value), within);
        let mut found: Vec<u32> = old.iter().chain(recent).map(|(_, position)| *position).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().rev()
    }

    /// About how many positions are filed under a field's value.
    pub(crate) fn count(&self, field: &str, value: &str) -> usize {
        let (old, recent) = self.entries(hash(field, value), 0..u32::MAX);
        old.len() + recent.count()
    }

    fn entries(
        &self,
        hash: u32,
        within: Range<u32>,
    ) -> (&[Entry], impl Iterator<Item = &Entry> + use<'_>) {
        let Range { start, end } = within;
        let (start, end) = ((hash, start), (hash, end.max(start)));
        let from = self.old.partition_point(|entry| *entry < start);
        let until = self.old.partition_point(|entry| *entry < end);
        (&self.old[from..until], self.recent.range(start..end))
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
        for position in (0..5000).chain((0..5000).rev().step_by(3)) {
            index.insert("name", "common", position);
            index.insert("name", if position % 100 == 0 { "Rare" } else { "other" }, position);
        }
        let all: Vec<u32> = index.find("name", "common", 0..u32::MAX).collect();
        assert_eq!(all, (0..5000).rev().collect::<Vec<_>>());
        let rare: Vec<u32> = index.find("name", "rare", 200..800).collect();
        assert_eq!(rare, (200..800).step_by(100).rev().collect::<Vec<_>>());
        assert!((50..100).contains(&index.count("name", "RARE")));
        assert_eq!(index.find("email", "common", 0..u32::MAX).count(), 0);
    }
}
