//! What parsers are tried on: texts that are good, nearly good, made of the grammar's own words in
//! any order, or mere bytes.
//!
//! Mere noise is refused by a parser's first line. So most inputs here are good ones with up to
//! three edits, and every test fails that had nothing accepted or nothing refused. They are made of
//! a few random numbers each, since ten million of them are to be had in a minute.

use std::{
    cell::Cell,
    ops::{Range, RangeInclusive},
};

use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    prop_oneof,
    test_runner::{Config, TestRunner},
};

/// A word that inputs hold, and that no message about them may repeat.
pub const SECRET: &str = "Zq7Secret";

/// All visible ASCII characters.
pub const VISIBLE: &str = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
/// ASCII letters and digits.
pub const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// What parsers trip over.
const ODD: [&str; 60] = [
    SECRET,
    SECRET,
    "",
    "\0",
    "\t",
    "\n",
    "\r\n",
    "\u{7f}",
    "\u{85}",
    " ",
    "\u{a0}",
    "\u{feff}",
    "é",
    "€",
    "＠",
    "１",
    "ß",
    "İ",
    "𝄞",
    "\u{202e}",
    "%",
    "%00",
    "%zz",
    "%e2%82",
    "+",
    "-",
    "--",
    "0",
    "-1",
    "0x10",
    "255",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "null",
    "[",
    "]",
    "[]",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "/",
    "?",
    "#",
    "&",
    "=",
    "@",
    ":",
    ".",
    ",",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\
     [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Tries a parser on 256 inputs, or on as many as `PROPTEST_CASES` says. `accepted` asserts
/// whatever is to hold, and says whether the input was accepted. A failing input is made as small
/// as it gets.
///
/// # Panics
/// If `accepted` does, or if all inputs are accepted, or none: then they show nothing.
pub fn check<S: Strategy>(what: &str, inputs: S, accepted: impl Fn(S::Value) -> bool) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let (tried, taken) = (Cell::new(0_u32), Cell::new(0_u32));
    let ended = TestRunner::new(config).run(&inputs, |input| {
        let accepted = accepted(input);
        tried.set(tried.get() + 1);
        taken.set(taken.get() + u32::from(accepted));
        Ok(())
    });
    if let Err(why) = ended {
        panic!("{what}: {why}");
    }
    let (tried, taken) = (tried.get(), taken.get());
    assert!(tried < 256 || (0 < taken && taken < tried), "{what}: accepted {taken} of {tried}");
    let share = f64::from(taken) * 100.0 / f64::from(tried);
    println!("{what}: {tried} inputs, {share:.1} % accepted");
}

/// Asserts that a message does not repeat the input that it is about.
///
/// # Panics
/// If it does.
pub fn assert_silent(message: &str, input: &str) {
    assert!(!message.contains(SECRET), "it repeats the secret: {message}");
    // A short one may stand in it by chance.
    assert!(input.len() <= 8 || !message.contains(input), "it repeats the input: {message}");
}

/// Good texts, spoiled ones, the grammar's words in any order, and mere bytes read as text.
pub fn texts(
    good: impl Strategy<Value = String>,
    words: &'static [&'static str],
) -> impl Strategy<Value = String> {
    bytes(good, words).prop_map(text)
}

/// The same for what reads bytes.
pub fn bytes(
    good: impl Strategy<Value = String>,
    words: &'static [&'static str],
) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => spoiled(good),
        2 => spoiled(of_words(words, 0..12)),
        1 => vec(any::<u8>(), 0..48),
    ]
}

/// Words in any order.
pub fn of_words(
    words: &'static [&'static str],
    count: Range<usize>,
) -> impl Strategy<Value = String> {
    vec(any::<u8>(), count).prop_map(|picks| {
        picks.into_iter().map(|pick| words[pick as usize % words.len()]).collect()
    })
}

/// So many of these ASCII characters.
pub fn letters(of: &'static str, count: RangeInclusive<usize>) -> impl Strategy<Value = String> {
    let of = of.as_bytes();
    vec(any::<u8>(), count).prop_map(|picks| {
        picks.into_iter().map(|pick| char::from(of[pick as usize % of.len()])).collect()
    })
}

/// Texts of about so many characters, where a limit is: one or two more, or one or two fewer.
pub fn about(length: usize, seed: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (seed, 0..5_usize)
        .prop_map(move |(seed, more)| seed.chars().cycle().take(length - 2 + more).collect())
}

/// A text with up to three edits.
pub fn spoiled(good: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    (good, vec(any::<(u8, u8, u8)>(), 0..=3)).prop_map(|(good, edits)| {
        let mut text = good.into_bytes();
        for edit in edits {
            spoil(&mut text, edit);
        }
        text
    })
}

/// What these bytes say, with `U+FFFD` for what is no UTF-8.
pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
}

fn spoil(text: &mut Vec<u8>, (kind, place, what): (u8, u8, u8)) {
    // As likely near the front of a long text as anywhere in a short one.
    let at = (usize::from(place) * usize::from(place) / 64).min(text.len());
    let at = if place % 2 == 0 { at } else { usize::from(place) % (text.len() + 1) };
    let end = (at + 1 + usize::from(what) % 16).min(text.len());
    let odd = ODD[usize::from(what) % ODD.len()].bytes();
    match (kind % 20, text.get_mut(at)) {
        (0, Some(byte)) => *byte = what,
        (1, Some(byte)) => *byte ^= 1 << (what % 8),
        (2, Some(byte)) => *byte = byte.wrapping_add(1),
        (3, _) => drop(text.drain(at..end)),
        (4, _) => text.truncate(at),
        (5, _) => drop(text.drain(..at)),
        (6, _) => text.extend_from_within(at..end),
        (7, _) => drop(text.splice(at..end, odd)),
        (8 | 9, _) => drop(text.splice(at..at, odd)),
        // Half of all edits are none, so that half of all texts stay good.
        _ => {}
    }
}
