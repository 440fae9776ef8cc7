//! Text packed small: what it repeats of a dictionary or of itself, UUIDs and runs of hexadecimal
//! digits take a few bytes each.
//!
//! A million Customers are a million e-mail addresses, UUIDs and idempotency keys that resemble each
//! other. General compressors need blocks of kilobytes to see that, and then a single Customer cannot
//! be read by itself. Here each text is packed by itself, against a dictionary that its neighbours
//! share. A packed text is a row of these:
//!
//! | first byte | then |
//! |---|---|
//! | `0lllllll` | l + 1 bytes as they are |
//! | `10llllll` | a repetition of l + 4 bytes (l = 63: a varint more), a varint of how far back it lies |
//! | `110lllll` | 2 l + 8 lower-case hexadecimal digits, two a byte |
//! | `11100000` | a lower-case UUID with its hyphens, 16 bytes |

/// A repetition shorter than this would not pay.
const SHORTEST: usize = 4;
/// One this long is taken before anything else is tried.
const LONG: usize = 18;
const LONGEST_LITERAL: usize = 128;
const FEWEST_DIGITS: usize = 8;
const MOST_DIGITS: usize = 31 * 2 + FEWEST_DIGITS;
const UUID: u8 = 0b1110_0000;
/// Where the hyphens of a UUID stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const SLOTS: usize = 1 << 11;

/// A dictionary, ready to pack against.
#[derive(Debug)]
pub(crate) struct Packer {
    dictionary: Vec<u8>,
    /// Where the last four bytes with a given hash begin, plus one.
    seen: Box<[u16]>,
}

impl Packer {
    pub(crate) fn new(dictionary: &[u8]) -> Packer {
        let dictionary = dictionary.to_vec();
        let mut seen = vec![0; SLOTS].into_boxed_slice();
        for at in 0..dictionary.len().saturating_sub(SHORTEST - 1) {
            note(&mut seen, &dictionary, at);
        }
        Packer { dictionary, seen }
    }

    /// Adds a packed text to `out`.
    pub(crate) fn pack(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut window = self.dictionary.clone();
        window.extend_from_slice(text);
        let mut seen = self.seen.clone();
        let mut at = self.dictionary.len();
        let mut literal = at;
        while at < window.len() {
            let (back, same) = repetition(&seen, &window, at);
            let rest = &window[at..];
            let taken = if same >= LONG {
                same
            } else if is_uuid(rest) {
                36
            } else {
                same.max(digits(rest))
            };
            if taken == 0 {
                note(&mut seen, &window, at);
                at += 1;
                continue;
            }
            literals(&window[literal..at], out);
            if taken == same {
                repeat(same, back, out);
            } else if taken == 36 && is_uuid(rest) {
                out.push(UUID);
                pairs(rest[..36].iter().filter(|byte| **byte != b'-'), out);
            } else {
                out.push(0b1100_0000 | ((taken - FEWEST_DIGITS) / 2) as u8);
                pairs(rest[..taken].iter(), out);
            }
            for passed in at..at + taken {
                note(&mut seen, &window, passed);
            }
            at += taken;
            literal = at;
        }
        literals(&window[literal..], out);
    }
}

/// Unpacks a text that was packed against `dictionary`.
pub(crate) fn unpack(dictionary: &[u8], mut packed: &[u8]) -> Vec<u8> {
    let mut window = Vec::with_capacity(dictionary.len() + 4 * packed.len());
    window.extend_from_slice(dictionary);
    while let Some((first, rest)) = packed.split_first() {
        packed = rest;
        match first {
            0b0000_0000..=0b0111_1111 => {
                let (bytes, rest) = packed.split_at(*first as usize + 1);
                window.extend_from_slice(bytes);
                packed = rest;
            }
            0b1000_0000..=0b1011_1111 => {
                let mut same = (first & 0b0011_1111) as usize + SHORTEST;
                if same == 63 + SHORTEST {
                    same += read_varint(&mut packed) as usize;
                }
                let start = window.len() - read_varint(&mut packed) as usize;
                // It may run into what it is itself writing.
                for at in start..start + same {
                    window.push(window[at]);
                }
            }
            &UUID => {
                let (bytes, rest) = packed.split_at(16);
                for (at, byte) in bytes.iter().enumerate() {
                    if [4, 6, 8, 10].contains(&at) {
                        window.push(b'-');
                    }
                    window.extend(spell(*byte));
                }
                packed = rest;
            }
            _ => {
                let count = (first & 0b0001_1111) as usize + FEWEST_DIGITS / 2;
                let (bytes, rest) = packed.split_at(count);
                window.extend(bytes.iter().flat_map(|byte| spell(*byte)));
                packed = rest;
            }
        }
    }
    window.split_off(dictionary.len())
}

/// Adds a number, seven bits a byte.
pub(crate) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front.
pub(crate) fn read_varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some((first, rest)) = bytes.split_first() else {
            break;
        };
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}

fn slot(window: &[u8], at: usize) -> Option<usize> {
    let four: [u8; SHORTEST] = window.get(at..at + SHORTEST)?.try_into().ok()?;
    Some((u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1) >> 21) as usize)
}

fn note(seen: &mut [u16], window: &[u8], at: usize) {
    // What lies further on than 64 KiB is packed, but not repeated from.
    if let (Some(slot), Ok(at)) = (slot(window, at), u16::try_from(at + 1)) {
        seen[slot] = at;
    }
}

/// How far back the bytes from `at` on were seen before, and how many of them; 0 for too few.
fn repetition(seen: &[u16], window: &[u8], at: usize) -> (usize, usize) {
    let candidate = slot(window, at).map_or(0, |slot| seen[slot] as usize);
    let Some(start) = candidate.checked_sub(1) else {
        return (0, 0);
    };
    let same = window[start..].iter().zip(&window[at..]).take_while(|(a, b)| a == b).count();
    if same < SHORTEST { (0, 0) } else { (at - start, same) }
}

fn repeat(same: usize, back: usize, out: &mut Vec<u8>) {
    let over = same - SHORTEST;
    out.push(0b1000_0000 | over.min(63) as u8);
    if over >= 63 {
        varint((over - 63) as u64, out);
    }
    varint(back as u64, out);
}

fn literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(LONGEST_LITERAL) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() >= 36
        && text[..36]
            .iter()
            .enumerate()
            .all(|(at, byte)| if HYPHENS.contains(&at) { *byte == b'-' } else { is_digit(*byte) })
}

/// How many hexadecimal digits begin a text, an even number; 0 for too few.
fn digits(text: &[u8]) -> usize {
    let count = text.iter().take(MOST_DIGITS).take_while(|byte| is_digit(**byte)).count();
    if count < FEWEST_DIGITS { 0 } else { count - count % 2 }
}

fn pairs<'a>(mut digits: impl Iterator<Item = &'a u8>, out: &mut Vec<u8>) {
    let value = |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
    while let (Some(high), Some(low)) = (digits.next(), digits.next()) {
        out.push(value(*high) << 4 | value(*low));
    }
}

fn spell(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|half| if half < 10 { b'0' + half } else { b'a' + half - 10 })
}

#[cfg(test)]
mod tests {
    use parser_inputs::{bytes, check, letters};

    use super::{Packer, unpack};

    fn check_packed(dictionary: &[u8], text: &[u8]) -> usize {
        let mut packed = Vec::new();
        Packer::new(dictionary).pack(text, &mut packed);
        assert_eq!(unpack(dictionary, &packed), text, "{:?}", String::from_utf8_lossy(text));
        packed.len()
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let uuid = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
        let key = format!("tenant-billing/{uuid}/test/{uuid}/1");
        let neighbour = "tenant-billing/7c9e6679-7425-40de-944b-e07fc1f90ae7/test/";
        // A dictionary, a text, and the most bytes that it may take.
        for (dictionary, text, most) in [
            ("", "", 0),
            ("", "a", 2),
            ("", uuid, 17),
            ("", "7C9E6679-7425-40DE-944B-E07FC1F90AE7", 37),
            ("", "deadbeef", 5),
            ("", "deadbeef0", 7),
            ("", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", 5),
            (neighbour, key.as_str(), 10),
            ("@example.com", "anna@example.com", 8),
        ] {
            let size = check_packed(dictionary.as_bytes(), text.as_bytes());
            assert!(size <= most, "{size} bytes for {text:?}");
        }
        let long = "0123456789abcdefg".repeat(20_000);
        check_packed(&long.as_bytes()[..60_000], long.as_bytes());
        check_packed(&[], &long.as_bytes()[..300]);
    }

    #[test]
    fn so_does_whatever_chance_makes() {
        const WORDS: &[&str] = &[
            "7c9e6679-7425-40de-944b-e07fc1f90ae7",
            "tenant-billing/",
            "@example.com",
            "0123456789abcdef",
            "a",
            "metadata[tenantId]",
            "\u{ff}",
            "zz",
        ];
        let digits = || letters("0123456789abcdef-", 1..=48);
        check(
            "packed text",
            (bytes(digits(), WORDS), bytes(digits(), WORDS)),
            |(dictionary, text)| check_packed(&dictionary, &text) < text.len(),
        );
    }
}
