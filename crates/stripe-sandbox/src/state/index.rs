//! One kind of index for everything that is looked up: ids, e-mail addresses, keys, metadata.
//!
//! It maps a term's hash to a chain of positions, newest first, and stores neither terms nor ids:
//! whoever asks compares the object itself. Search has to do that anyway, since with a lag it
//! answers from what an object *was*; and at a million Customers it saves every string twice over.
//! Two terms whose hashes collide merely share a chain.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

const END: u32 = u32::MAX;

/// From a term to positions, newest first.
#[derive(Debug, Default)]
pub(crate) struct Index {
    heads: HashMap<u32, u32, BuildHasherDefault<Spread>>,
    links: Vec<Link>,
}

#[derive(Debug)]
struct Link {
    position: u32,
    older: u32,
}

impl Index {
    /// Files `position` under `term`; a second time changes nothing.
    pub(crate) fn insert(&mut self, term: u64, position: u32) {
        let link = u32::try_from(self.links.len()).expect("fewer than 4 billion index entries");
        let head = self.heads.entry(fold(term)).or_insert(END);
        if *head == END || self.links[*head as usize].position < position {
            self.links.push(Link { position, older: *head });
            *head = link;
            return;
        }
        // An edit files an old position under a new term: it goes to its place in the chain.
        let mut newer = *head as usize;
        loop {
            let older = self.links[newer].older;
            if self.links[newer].position == position {
                return;
            }
            if older == END || self.links[older as usize].position < position {
                self.links.push(Link { position, older });
                self.links[newer].older = link;
                return;
            }
            newer = older as usize;
        }
    }

    /// The positions filed under `term`, newest first, and perhaps some that were not.
    pub(crate) fn find(&self, term: u64) -> impl Iterator<Item = u32> + '_ {
        let mut at = self.heads.get(&fold(term)).copied().unwrap_or(END);
        std::iter::from_fn(move || {
            let link = self.links.get(at as usize)?;
            at = link.older;
            Some(link.position)
        })
    }

    /// How many entries it holds.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }
}

fn fold(term: u64) -> u32 {
    (term ^ (term >> 32)) as u32
}

/// The keys are hashes already; this only carries them into the bits that the map looks at.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = crate::ids::hash(bytes);
    }

    fn write_u32(&mut self, term: u32) {
        self.0 = u64::from(term).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
