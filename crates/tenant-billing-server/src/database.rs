//! Which database `DATABASE_URL` names.
//!
//! The URL itself is never repeated in a message: it may hold a password.

use std::path::PathBuf;

use tenant_billing::ids::Invalid;

use crate::exit::Failure;

/// What messages call it.
pub(crate) const FIELD: &str = "DATABASE_URL";

/// The SQLite file that the URL names.
///
/// # Errors
/// If it names another kind of database, none that lasts, or a directory that is not there.
pub(crate) fn file(url: &str) -> Result<PathBuf, Failure> {
    let wrong = |reason: &str| Err(Invalid::new(FIELD, reason).into());
    let Some((scheme, rest)) = url.split_once(':') else {
        return wrong("is not of the form sqlite:FILE");
    };
    match scheme.to_ascii_lowercase().as_str() {
        "sqlite" => {}
        "postgres" | "postgresql" => {
            let words = "PostgreSQL comes with a later release; this one keeps SQLite files";
            let hint = "set DATABASE_URL to sqlite:FILE, such as sqlite:tenant-billing.db";
            return Err(Failure::operator(words, hint).about(FIELD));
        }
        _ => return wrong("is not of the form sqlite:FILE"),
    }
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path == ":memory:" {
        return wrong(
            "names no file: a database in memory forgets which Customer is whose when the command \
             ends, so that the next one would make another",
        );
    }
    if path.is_empty() || path.ends_with('/') {
        return wrong("names no file");
    }
    if path.contains('?') {
        return wrong("has parameters after a `?`, and there are none");
    }
    let path = PathBuf::from(path);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if parent.is_some_and(|parent| !parent.is_dir()) {
        return Err(unusable("the directory of the database file does not exist"));
    }
    if path.is_dir() {
        return Err(unusable("the database file is a directory"));
    }
    Ok(path)
}

fn unusable(words: &str) -> Failure {
    Failure::operator(words, "make it, or name another file in DATABASE_URL").about(FIELD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn spellings_of_a_file() {
        for (url, path) in [
            ("sqlite:a.db", "a.db"),
            ("sqlite://a.db", "a.db"),
            ("SQLite:a.db", "a.db"),
            ("sqlite:///tmp/a.db", "/tmp/a.db"),
            ("sqlite:/tmp/a.db", "/tmp/a.db"),
            ("sqlite:./a b.db", "./a b.db"),
        ] {
            assert_eq!(file(url), Ok(PathBuf::from(path)), "{url}");
        }
    }

    #[test]
    fn what_is_no_file() {
        for (url, exit) in [
            ("a.db", Exit::InvalidInput),
            ("", Exit::InvalidInput),
            ("sqlite:", Exit::InvalidInput),
            ("sqlite::memory:", Exit::InvalidInput),
            ("sqlite://:memory:", Exit::InvalidInput),
            ("sqlite:a.db?mode=ro", Exit::InvalidInput),
            ("mysql://h/d", Exit::InvalidInput),
            ("postgres://u:secret@h/d", Exit::Operator),
            ("postgresql://u:secret@h/d", Exit::Operator),
            ("sqlite:/no/such/directory/a.db", Exit::Operator),
            ("sqlite:/tmp", Exit::Operator),
        ] {
            let failure = file(url).unwrap_err();
            assert_eq!(failure.exit, exit, "{url}");
            assert_eq!(failure.field.as_deref(), Some(FIELD), "{url}");
            assert!(!failure.message.contains("secret"), "{url}");
        }
    }
}
