//! A long row of small records that are written once: a few numbers and some texts each.
//!
//! Records lie packed in chunks. The texts of a chunk's first record are the dictionary for the rest
//! of it, since neighbours resemble each other; its numbers are what theirs are counted from.

use super::pack::{self, Packer};

/// Records in a chunk.
const CHUNK: usize = 256;
/// Longer first records are a dictionary only with so much of their texts.
const LARGEST_DICTIONARY: usize = 2048;
/// Ends a text. No UTF-8 has this byte.
const END: u8 = 0xff;

/// What almost every record has.
const COMMON: &[u8] = b"phone\xffdescription\xffname\xff@example.com\xff/v1/customers\xffemail\xff\
    metadata[tenantId]\xff";

/// The row. Positions count from 0, and stay when the oldest records are dropped.
#[derive(Debug)]
pub(crate) struct Archive<const NUMBERS: usize> {
    chunks: std::collections::VecDeque<Chunk<NUMBERS>>,
    /// How many chunks were dropped before the first one here.
    dropped: usize,
    /// Packs what is added to the last chunk.
    packer: Option<Packer>,
}

#[derive(Debug)]
struct Chunk<const NUMBERS: usize> {
    base: [i64; NUMBERS],
    dictionary: Box<[u8]>,
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<u32>,
}

impl<const NUMBERS: usize> Default for Archive<NUMBERS> {
    fn default() -> Self {
        Archive { chunks: Default::default(), dropped: 0, packer: None }
    }
}

impl<const NUMBERS: usize> Archive<NUMBERS> {
    /// The position that the next record will have.
    pub(crate) fn len(&self) -> usize {
        let last = self.chunks.back().map_or(CHUNK, |chunk| chunk.ends.len());
        (self.dropped + self.chunks.len()) * CHUNK + last - CHUNK
    }

    /// The oldest position that is still here.
    pub(crate) fn start(&self) -> usize {
        self.dropped * CHUNK
    }

    /// Adds a record.
    pub(crate) fn push<'a>(
        &mut self,
        numbers: [i64; NUMBERS],
        texts: impl IntoIterator<Item = &'a str>,
    ) {
        let mut text = Vec::new();
        for part in texts {
            text.extend_from_slice(part.as_bytes());
            text.push(END);
        }
        if self.chunks.back().is_none_or(|chunk| chunk.ends.len() == CHUNK) {
            self.begin(numbers, &text);
        }
        let (Some(chunk), Some(packer)) = (self.chunks.back_mut(), &self.packer) else {
            return;
        };
        for (number, base) in numbers.into_iter().zip(chunk.base) {
            let ahead = number.wrapping_sub(base);
            // Small numbers of either sign become small ones without.
            pack::varint(((ahead << 1) ^ (ahead >> 63)) as u64, &mut chunk.bytes);
        }
        packer.pack(&text, &mut chunk.bytes);
        chunk.ends.push(u32::try_from(chunk.bytes.len()).expect("a chunk of less than 4 GiB"));
        if chunk.ends.len() == CHUNK {
            chunk.bytes.shrink_to_fit();
        }
    }

    fn begin(&mut self, base: [i64; NUMBERS], text: &[u8]) {
        let mut dictionary = COMMON.to_vec();
        dictionary.extend_from_slice(&text[..text.len().min(LARGEST_DICTIONARY)]);
        self.packer = Some(Packer::new(&dictionary));
        let ends = Vec::with_capacity(CHUNK);
        let dictionary = dictionary.into();
        self.chunks.push_back(Chunk { base, dictionary, bytes: Vec::new(), ends });
    }

    /// The numbers of a record that is here.
    pub(crate) fn numbers(&self, position: usize) -> [i64; NUMBERS] {
        self.record(position).1
    }

    /// A record that is here.
    pub(crate) fn get(&self, position: usize) -> ([i64; NUMBERS], Texts) {
        let (chunk, numbers, packed) = self.record(position);
        (numbers, Texts { bytes: pack::unpack(&chunk.dictionary, packed), at: 0 })
    }

    fn record(&self, position: usize) -> (&Chunk<NUMBERS>, [i64; NUMBERS], &[u8]) {
        let chunk = &self.chunks[position / CHUNK - self.dropped];
        let at = position % CHUNK;
        let start = at.checked_sub(1).map_or(0, |before| chunk.ends[before] as usize);
        let mut bytes = &chunk.bytes[start..chunk.ends[at] as usize];
        let numbers = chunk.base.map(|base| {
            let zigzag = pack::read_varint(&mut bytes);
            base.wrapping_add((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
        });
        (chunk, numbers, bytes)
    }

    /// Drops the oldest records, as many whole chunks as leave `keep` records.
    pub(crate) fn drop_all_but(&mut self, keep: usize) {
        while self.len() - self.start() >= keep + CHUNK {
            self.chunks.pop_front();
            self.dropped += 1;
        }
    }
}

/// The texts of a record, one after the other.
#[derive(Debug)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    at: usize,
}

impl Iterator for Texts {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == END)?;
        self.at += end + 1;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn records_stay_where_they_are() {
        let mut archive = Archive::<2>::default();
        let numbers = |at: i64| [at * 1000, if at % 3 == 0 { i64::MIN } else { -at }];
        let texts = |at: i64| ["x".to_owned(), format!("text {at}"), String::new()];
        for at in 0..1000 {
            assert_eq!(archive.len(), at as usize);
            let texts = texts(at);
            archive.push(numbers(at), texts.iter().map(String::as_str));
        }
        let check = |archive: &Archive<2>| {
            for at in archive.start()..archive.len() {
                let (found, found_texts) = archive.get(at);
                assert_eq!(found, numbers(at as i64));
                assert_eq!(found_texts.collect::<Vec<_>>(), texts(at as i64));
            }
        };
        check(&archive);
        archive.drop_all_but(300);
        assert_eq!((archive.start(), archive.len()), (512, 1000));
        check(&archive);
    }
}
