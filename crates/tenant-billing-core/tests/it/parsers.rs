//! Every parser of the core on inputs good and bad: none panics, what is accepted keeps the
//! documented rules and prints as it came, and no rejection repeats its input.
//!
//! `PROPTEST_CASES` sets how many are tried; 256 by default.

mod answers;
mod ids;
mod requests;
