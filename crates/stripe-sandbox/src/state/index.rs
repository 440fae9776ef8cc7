//! One kind of index for everything that is looked up: keys, e-mail addresses, names, metadata.
//!
//! It maps a term's hash to positions and stores neither terms nor objects: whoever asks compares
//! the object itself. Search has to do that anyway, since with a lag it answers from what an object
//! *was*; and two terms whose hashes collide merely share their positions. An entry takes eight bytes,
//! in sorted runs of which each is at least twice as long as the next, as in a log-structured tree:
//! no pointers, and no slots that wait to be filled.

/// So many entries are kept unsorted.
const RECENT: usize = 512;

/// A folded hash and a position.
type Entry = (u32, u32);

/// From a term to positions.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Longest first.
    runs: Vec<Box<[Entry]>>,
    recent: Vec<Entry>,
}

impl Index {
    /// Files `position` under `term`; a second time changes nothing.
    pub(crate) fn insert(&mut self, term: u64, position: u32) {
        self.recent.push((fold(term), position));
        if self.recent.len() < RECENT {
            return;
        }
        let mut newest: Vec<Entry> = std::mem::take(&mut self.recent);
        newest.sort_unstable();
        while let Some(last) = self.runs.pop_if(|last| last.len() < 2 * newest.len()) {
            newest = merged(&last, &newest);
        }
        self.runs.push(newest.into());
    }

    /// The positions before `end` that are filed under `term`, newest first, and perhaps some that
    /// were not.
    pub(crate) fn find(&self, term: u64, end: u32) -> impl Iterator<Item = u32> + use<'_> {
        let hash = fold(term);
        let mut fresh: Vec<u32> = self.recent.iter().filter(|e| e.0 == hash).map(|e| e.1).collect();
        fresh.retain(|position| *position < end);
        fresh.sort_unstable();
        let mut filed: Vec<&[Entry]> = self.runs.iter().map(|run| within(run, hash, end)).collect();
        filed.retain(|run| !run.is_empty());
        let mut last = None;
        std::iter::from_fn(move || {
            loop {
                let of_runs = filed.iter().filter_map(|run| run.last()).map(|entry| entry.1).max();
                let next = of_runs.max(fresh.last().copied())?;
                fresh.pop_if(|position| *position == next);
                for run in &mut filed {
                    if let Some((_, rest)) = run.split_last().filter(|(entry, _)| entry.1 == next) {
                        *run = rest;
                    }
                }
                if last != Some(next) {
                    last = Some(next);
                    return last;
                }
            }
        })
    }

    /// Forgets all entries but those whose position is to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        self.recent.retain(|entry| keep(entry.1));
        for run in &mut self.runs {
            *run = run.iter().copied().filter(|entry| keep(entry.1)).collect();
        }
        self.runs.retain(|run| !run.is_empty());
        self.runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
    }
}

fn fold(term: u64) -> u32 {
    (term ^ (term >> 32)) as u32
}

fn within(run: &[Entry], hash: u32, end: u32) -> &[Entry] {
    let from = run.partition_point(|entry| *entry < (hash, 0));
    let until = run.partition_point(|entry| *entry < (hash, end));
    &run[from..until]
}

/// Two sorted runs as one, without doubles.
fn merged(one: &[Entry], two: &[Entry]) -> Vec<Entry> {
    let mut all = Vec::with_capacity(one.len() + two.len());
    let (mut one, mut two) = (one.iter().peekable(), two.iter().peekable());
    loop {
        let next = match (one.peek(), two.peek()) {
            (Some(a), Some(b)) if a <= b => one.next(),
            (_, Some(_)) => two.next(),
            _ => one.next(),
        };
        match next {
            Some(entry) if all.last() != Some(entry) => all.push(*entry),
            Some(_) => {}
            None => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn it_finds_what_was_filed_newest_first() {
        let mut index = Index::default();
        // Term 1 is common, term 2 rare; every position is filed twice, and some out of order.
        for position in (0..5000u32).chain((0..5000).rev().step_by(3)) {
            index.insert(1, position);
            index.insert(if position % 100 == 0 { 2 } else { 3 }, position);
        }
        let all: Vec<u32> = index.find(1, u32::MAX).collect();
        assert_eq!(all, (0..5000).rev().collect::<Vec<_>>());
        let rare: Vec<u32> = index.find(2, 4000).collect();
        assert_eq!(rare, (0..4000).step_by(100).rev().collect::<Vec<_>>());
        assert_eq!(index.find(4, u32::MAX).count(), 0);
        index.retain(|position| position >= 4500);
        assert_eq!(index.find(1, u32::MAX).count(), 500);
        assert_eq!(index.find(2, u32::MAX).count(), 5);
    }
}
