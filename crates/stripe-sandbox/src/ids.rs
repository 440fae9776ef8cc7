//! Ids and every other seeded choice.
//!
//! An id is a hash of the seed, the number of times the state file was opened, and a running number.
//! The middle part is there because a sandbox that resumes from a file with the same seed must not
//! mint an id a second time: a `Request-Id` equal to a saved one would make a replay look like a
//! first answer. The mixing is written out here, since the hashers and generators of the libraries
//! promise no stable output between their versions, and a seed is worth little without that.

use std::sync::atomic::{AtomicU64, Ordering};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Mints ids that look like Stripe's.
#[derive(Debug)]
pub(crate) struct Ids {
    base: u64,
    minted: AtomicU64,
}

impl Ids {
    /// `opened` is how often this sandbox's state was opened before.
    pub(crate) fn new(seed: u64, opened: u64) -> Ids {
        Ids { base: mix(mix(seed) ^ opened.wrapping_add(1)), minted: AtomicU64::new(0) }
    }

    /// `prefix` and then `length` alphanumerics.
    pub(crate) fn mint(&self, prefix: &str, length: usize) -> String {
        let number = self.minted.fetch_add(1, Ordering::Relaxed);
        let start = mix(self.base ^ mix(number));
        let mut id = String::with_capacity(prefix.len() + length);
        id.push_str(prefix);
        id.extend(letters(start).take(length));
        id
    }
}

/// The endless row of alphanumerics that belongs to `start`.
pub(crate) fn letters(start: u64) -> impl Iterator<Item = char> {
    (0u64..).flat_map(move |block| {
        let mut word = mix(start.wrapping_add(block));
        // Ten letters take just under 60 of the word's 64 bits.
        (0..10).map(move |_| {
            let letter = ALPHABET[(word % 62) as usize];
            word /= 62;
            char::from(letter)
        })
    })
}

/// A well-spread hash of some bytes, the same in every version of the program.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(state)
}

/// Spreads a number over all 64 bits, one to one (the finalizer of splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut word = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
