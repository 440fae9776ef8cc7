//! A long list of records that are written once and seldom read, kept compressed.
//!
//! A million Customers are a million e-mail addresses, names and idempotency keys that resemble
//! each other. As plain structs they would take more memory than a sandbox may have. So each record
//! is kept as JSON that LZ4 has compressed, with the first record of its chunk as the dictionary:
//! neighbours resemble each other most, and a single record can still be read by itself.

use std::collections::VecDeque;
use std::marker::PhantomData;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The number of records in a chunk.
const CHUNK: usize = 256;

/// The list. Positions count from 0, and stay the same when the oldest records are dropped.
#[derive(Debug)]
pub(crate) struct Records<T> {
    chunks: VecDeque<Chunk>,
    /// The number of chunks that were dropped from the front.
    dropped: usize,
    record: PhantomData<T>,
}

#[derive(Debug)]
struct Chunk {
    /// The first record, as JSON.
    dictionary: Vec<u8>,
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    ends: Vec<u32>,
}

impl<T> Default for Records<T> {
    fn default() -> Records<T> {
        Records { chunks: VecDeque::new(), dropped: 0, record: PhantomData }
    }
}

impl<T: Serialize + DeserializeOwned> Records<T> {
    /// The position that the next record will have.
    pub(crate) fn len(&self) -> usize {
        let last = self.chunks.back().map_or(CHUNK, |chunk| chunk.ends.len());
        (self.dropped + self.chunks.len()) * CHUNK + last - CHUNK
    }

    /// The oldest position that was not dropped.
    pub(crate) fn start(&self) -> usize {
        self.dropped * CHUNK
    }

    pub(crate) fn push(&mut self, record: &T) {
        let json = serde_json::to_vec(record).expect("a record is numbers and texts");
        if self.chunks.back().is_none_or(|chunk| chunk.ends.len() == CHUNK) {
            // A chunk is about as long as the one before it, and grown buffers leave holes behind.
            let length = self.chunks.back().map_or(0, |chunk| chunk.bytes.len() + CHUNK);
            let (bytes, ends) = (Vec::with_capacity(length), Vec::with_capacity(CHUNK));
            self.chunks.push_back(Chunk { dictionary: json.clone(), bytes, ends });
        }
        let Some(chunk) = self.chunks.back_mut() else {
            return;
        };
        chunk.bytes.extend(compress_prepend_size_with_dict(&json, &chunk.dictionary));
        chunk.ends.push(u32::try_from(chunk.bytes.len()).expect("a chunk is below 4 GiB"));
        if chunk.ends.len() == CHUNK {
            chunk.bytes.shrink_to_fit();
        }
    }

    /// Reads the record at a position that was not dropped.
    pub(crate) fn get(&self, position: usize) -> T {
        let chunk = &self.chunks[position / CHUNK - self.dropped];
        let at = position % CHUNK;
        let start = at.checked_sub(1).map_or(0, |before| chunk.ends[before] as usize);
        let packed = &chunk.bytes[start..chunk.ends[at] as usize];
        let json = decompress_size_prepended_with_dict(packed, &chunk.dictionary);
        serde_json::from_slice(&json.expect("it was compressed here")).expect("it was written here")
    }

    /// Drops the oldest chunks, as many as possible while `keep` records stay.
    pub(crate) fn drop_all_but(&mut self, keep: usize) {
        while self.len() - self.start() >= keep + CHUNK {
            self.chunks.pop_front();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Records;

    #[test]
    fn records_stay_where_they_are() {
        let mut records = Records::<(i64, String)>::default();
        let record = |at: usize| (at as i64 - 500, format!("text {at} {}", "ä\"".repeat(at % 7)));
        for at in 0..1000 {
            assert_eq!(records.len(), at);
            records.push(&record(at));
        }
        let check = |records: &Records<_>| {
            assert_eq!(records.len(), 1000);
            assert!((records.start()..1000).all(|at| records.get(at) == record(at)));
        };
        check(&records);
        records.drop_all_but(300);
        assert_eq!(records.start(), 512);
        check(&records);
    }
}
