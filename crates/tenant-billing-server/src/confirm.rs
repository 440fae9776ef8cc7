//! Asks a person to confirm what cannot be undone.

use std::io::{self, BufRead, IsTerminal};

use tenant_billing::ids::Invalid;

use crate::{cli::Confirmed, failure::Failure, output};

/// Says what is about to happen, and has a person type this word, unless `--yes` was given.
///
/// # Errors
/// If something else is typed, or nobody is there to type.
pub(crate) fn confirm(what: &str, word: &str, confirmed: &Confirmed) -> Result<(), Failure> {
    if confirmed.yes {
        return Ok(());
    }
    output::say(what);
    if !io::stdin().is_terminal() {
        let why = "is needed, since standard input is not a terminal on which to confirm";
        return Err(Invalid::new("--yes", why).into());
    }
    output::say(&format!("Type `{word}` to go on:"));
    let mut typed = String::new();
    let read = io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && typed.trim() == word {
        return Ok(());
    }
    Err(Invalid::new("confirmation", format!("is not `{word}`, so nothing was changed")).into())
}

/// How many Customers are bound, in words.
pub(crate) fn bindings(count: u64) -> String {
    match count {
        1 => "1 Customer".to_owned(),
        count => format!("{count} Customers"),
    }
}
