//! `tenant add`: registers tenants. If one of the ids is invalid, it registers none.

use std::io::{self, BufRead};

use tenant_billing::{
    ids::{Invalid, TenantId},
    ports::StoreError,
};

use crate::{causes, exit::Exit, failure::Failure, output, session::Session};

/// Registers the tenants, and prints how many of them are new.
pub(crate) async fn run(session: &Session, tenant_ids: &[String]) -> Result<Exit, Failure> {
    let named = match tenant_ids {
        [only] if only == "-" && output::was_closed('0') => {
            return Err(Failure::new(causes::INPUT, "standard input is closed"));
        }
        [only] if only == "-" => read_lines(io::stdin().lock())?,
        named => (1..)
            .zip(named)
            .map(|(number, text)| (format!("argument {number}"), text.clone()))
            .collect(),
    };
    let mut tenants = Vec::with_capacity(named.len());
    for (place, text) in named {
        let tenant = checked(session, &text).await;
        tenants.push(tenant.map_err(|failure| at(&place, failure))?);
    }
    let added = session.store.add_tenants(&tenants).await?;
    let known = match tenants.len() - added {
        0 => String::new(),
        1 => ", 1 was registered already".to_owned(),
        more => format!(", {more} were registered already"),
    };
    output::print(&format!("added {added}{known}"))?;
    Ok(Exit::Done)
}

/// The tenant id, if this database accepts it. A read has the same requirements as a write.
async fn checked(session: &Session, text: &str) -> Result<TenantId, Failure> {
    let tenant = TenantId::parse(text)?;
    match session.store.bound(&tenant).await {
        Ok(_) => Ok(tenant),
        Err(StoreError::Invalid(invalid)) => Err(invalid.into()),
        Err(error) => Err(error.into()),
    }
}

/// The lines that are not empty, each with its place.
fn read_lines(input: impl BufRead) -> Result<Vec<(String, String)>, Failure> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(input.lines()) {
        let place = format!("line {number}");
        let line = line.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                at(&place, Invalid::new("tenant_id", "is not UTF-8").into())
            }
            _ => Failure::new(causes::INPUT, format!("standard input cannot be read: {error}")),
        })?;
        let line = line.trim();
        if !line.is_empty() {
            lines.push((place, line.to_owned()));
        }
    }
    Ok(lines)
}

/// Adds the place of the invalid id to a failure. Other failures are not changed.
fn at(place: &str, failure: Failure) -> Failure {
    if failure.cause.exit != Exit::InvalidInput {
        return failure;
    }
    Failure {
        message: format!("{place}: {}", failure.message),
        hint: "correct it and run the command again; no tenant was added".to_owned(),
        ..failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers() {
        let lines = read_lines("a\r\n\n  b \n\n".as_bytes()).unwrap();
        assert_eq!(
            lines,
            [("line 1", "a"), ("line 3", "b")].map(|(at, id)| (at.to_owned(), id.to_owned()))
        );
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_named() {
        let failure = read_lines(&b"a\n\xff\n"[..]).unwrap_err();
        assert_eq!(failure.message, "line 2: tenant_id: is not UTF-8");
        assert_eq!(failure.cause.exit, Exit::InvalidInput);
    }

    #[test]
    fn any_lines() {
        use parser_inputs::{bytes, check, letters};

        const WORDS: &[&str] = &["t1", "\n", "\r\n", "\n\n", " ", "\t", "org/7"];
        check("lines of tenant ids", bytes(letters("ab7-\n\n ", 1..=24), WORDS), |input| {
            match read_lines(&input[..]) {
                Ok(lines) => {
                    let text = std::str::from_utf8(&input).unwrap();
                    for (place, line) in &lines {
                        let number: usize = place.strip_prefix("line ").unwrap().parse().unwrap();
                        assert_eq!(text.split('\n').nth(number - 1).map(str::trim), Some(&**line));
                        assert!(!line.is_empty());
                    }
                    true
                }
                Err(failure) => {
                    assert!(std::str::from_utf8(&input).is_err());
                    assert!(failure.message.starts_with("line "), "{}", failure.message);
                    false
                }
            }
        });
    }
}
