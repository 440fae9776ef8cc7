//! Ids, and every other choice that depends on a seed.
//!
//! An id is made from a number: the number's bits are mixed with the seed and spelled in 62
//! letters. The mixing can be undone, so an id leads back to its number, and nothing has to be
//! indexed by id or keep one. The mixing is written out here, because the hashers and generators of
//! libraries promise no stable output between their versions, and a seed is worth little without
//! that.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The number of letters that hold 64 bits.
const SPELLED: usize = 11;

/// A kind of id: its prefix, and the number of letters after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    prefix: &'static str,
    letters: usize,
}

pub(crate) const CUSTOMER: Kind = Kind { prefix: "cus_", letters: 14 };
pub(crate) const EVENT: Kind = Kind { prefix: "evt_", letters: 24 };
pub(crate) const REQUEST: Kind = Kind { prefix: "req_", letters: 14 };
pub(crate) const ENDPOINT: Kind = Kind { prefix: "we_", letters: 24 };

impl Kind {
    /// The id of this kind that belongs to a number, where `base` is the seed.
    pub(crate) fn id(self, base: u64, number: u64) -> String {
        let word = mix(number ^ self.salt(base));
        let mut id = String::with_capacity(self.prefix.len() + self.letters);
        id.push_str(self.prefix);
        id.extend(spell(word));
        // The last letters depend on the base, so that an id of another base is not taken for one
        // of this.
        id.extend(letters(word ^ base).take(self.letters - SPELLED));
        id
    }

    /// The number behind an id, if it is one of this kind and base.
    fn number(self, base: u64, id: &str) -> Option<u64> {
        let spelled = id.strip_prefix(self.prefix)?.as_bytes().get(..SPELLED)?;
        let mut word = 0u64;
        for letter in spelled.iter().rev() {
            let digit = ALPHABET.binary_search(letter).ok()? as u64;
            word = word.checked_mul(62)?.checked_add(digit)?;
        }
        let number = unmix(word) ^ self.salt(base);
        (self.id(base, number) == id).then_some(number)
    }

    /// The position behind an id, if there are more than so many of this kind and base.
    pub(crate) fn position(self, base: u64, id: &str, count: u32) -> Option<u32> {
        u32::try_from(self.number(base, id)?).ok().filter(|at| *at < count)
    }

    fn salt(self, base: u64) -> u64 {
        mix(base ^ hash(self.prefix.as_bytes()))
    }
}

/// An endless row of letters and digits that depends on `start`.
pub(crate) fn letters(start: u64) -> impl Iterator<Item = char> {
    // Ten letters take just under 60 of a word's 64 bits.
    (1u64..).flat_map(move |block| spell(mix(start.wrapping_add(block))).take(10))
}

/// A number in letters, the lowest digit first.
fn spell(mut word: u64) -> impl Iterator<Item = char> {
    (0..SPELLED).map(move |_| {
        let letter = ALPHABET[(word % 62) as usize];
        word /= 62;
        char::from(letter)
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

/// Undoes [`mix`] step by step, with the inverses of its multipliers.
fn unmix(mut word: u64) -> u64 {
    word = word ^ (word >> 31) ^ (word >> 62);
    word = word.wrapping_mul(0x3196_42b2_d24d_8ec3);
    word = word ^ (word >> 27) ^ (word >> 54);
    word = word.wrapping_mul(0x96de_1b17_3f11_9089);
    word = word ^ (word >> 30) ^ (word >> 60);
    word.wrapping_sub(0x9e37_79b9_7f4a_7c15)
}

/// A number from 0 up to but not including 1.
pub(crate) fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use parser_inputs::{check, texts};
    use proptest::prelude::{Strategy, any};

    use super::{CUSTOMER, EVENT, mix, unmix};

    const WORDS: &[&str] = &["cus_", "evt_", "zzzz", "0", "Z", "LygHa16AHYF", "a", "_"];

    /// Each number has one spelling.
    #[test]
    fn an_id_that_is_read_is_the_one_written() {
        let good = any::<u64>().prop_map(|number| CUSTOMER.id(7, number));
        check("id of the sandbox", texts(good, WORDS), |id| {
            let number = CUSTOMER.number(7, &id);
            assert!(number.is_none_or(|number| CUSTOMER.id(7, number) == id));
            number.is_some()
        });
    }

    #[test]
    fn an_id_leads_back_to_its_number() {
        for number in [0, 1, 2, 61, 62, 1 << 40, u64::MAX] {
            assert_eq!(unmix(mix(number)), number);
            let id = CUSTOMER.id(7, number);
            assert_eq!(id.len(), 18);
            assert_eq!(CUSTOMER.number(7, &id), Some(number));
            assert_eq!(CUSTOMER.number(8, &id), None);
            assert_eq!(EVENT.number(7, &id), None);
            let mut other = id.clone();
            other.pop();
            assert_eq!(CUSTOMER.number(7, &other), None);
            assert_eq!(CUSTOMER.number(7, &format!("{other}é")), None);
        }
        assert_eq!(CUSTOMER.number(7, "cus_"), None);
        assert_eq!(CUSTOMER.number(7, "cus_zzzzzzzzzzzzzz"), None);
    }
}
