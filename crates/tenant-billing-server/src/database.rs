//! Opens the database that `DATABASE_URL` names, with the other settings for it.
//!
//! No message repeats the URL, because it may hold a password.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tenant_billing::{Database, PostgresStore, SqliteStore, ids::Invalid};

use crate::{causes, cli::Options, failure::Failure};

/// The name of the setting in messages.
pub(crate) const FIELD: &str = "DATABASE_URL";

/// An open database.
pub(crate) enum Opened {
    /// A file.
    Sqlite(SqliteStore, PathBuf),
    /// A server.
    Postgres(Box<PostgresStore>),
}

impl Opened {
    /// Opens the database that the settings name. A server is not called yet.
    ///
    /// # Errors
    /// If a setting is invalid, or a file cannot be opened.
    pub(crate) fn open(options: &Options) -> Result<Self, Failure> {
        let url = options.database_url();
        let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        if matches!(scheme.as_deref(), Some("postgres" | "postgresql")) {
            return server(options).map(Box::new).map(Self::Postgres);
        }
        for (setting, value) in [
            ("TENANTS_TABLE", &options.tenants_table),
            ("TENANT_CONFIG_TABLE", &options.tenant_config_table),
            ("TENANT_CONFIG_TENANT_COLUMN", &options.tenant_config_tenant_column),
            ("TENANT_CONFIG_CUSTOMER_COLUMN", &options.tenant_config_customer_column),
        ] {
            if value.is_some() {
                let why = "is for PostgreSQL only; a SQLite file always uses the tables tenants and \
                           tenant_config";
                return Err(Invalid::new(setting, why).into());
            }
        }
        let file = file(url)?;
        Ok(Self::Sqlite(SqliteStore::open(&file)?, file))
    }

    /// Which database it is, in words without a secret.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Sqlite(_, file) => format!("the SQLite file {}", file.display()),
            Self::Postgres(store) => store.place(),
        }
    }

    /// Whether `tenant-billing tenant add` is the way to register tenants. In a table that the
    /// application has made, it is not.
    async fn registers_tenants(&self) -> bool {
        match self {
            Self::Sqlite(..) => true,
            Self::Postgres(store) => store.made_tenants().await.unwrap_or(false),
        }
    }

    /// The database behind its trait.
    pub(crate) fn into_store(self) -> Arc<dyn Database> {
        match self {
            Self::Sqlite(store, _) => Arc::new(store),
            Self::Postgres(store) => Arc::new(*store),
        }
    }

    /// The path from which the sandbox's state file gets its name.
    pub(crate) fn beside(&self) -> &Path {
        match self {
            Self::Sqlite(_, file) => file,
            Self::Postgres(_) => Path::new("tenant-billing"),
        }
    }
}

/// Says of a tenant that was not found where it was looked for, and how to register it.
pub(crate) async fn explain(options: &Options, failure: Failure) -> Failure {
    if failure.cause != causes::UNKNOWN_TENANT {
        return failure;
    }
    // It was open a moment ago.
    let Ok(opened) = Opened::open(options) else { return failure };
    let table = options.tenants_table.as_deref().unwrap_or("tenants");
    let message = format!("{} (looked in table {table} of {})", failure.message, opened.place());
    let hint = match opened.registers_tenants().await {
        true => format!("{}{}", causes::ADD_IT, failure.hint),
        false => failure.hint,
    };
    Failure { message, hint, ..failure }
}

fn server(options: &Options) -> Result<PostgresStore, Failure> {
    let mut store = PostgresStore::open(options.database_url())?;
    if let Some(url) = &options.database_direct_url {
        store = store.with_direct_url(url)?;
    }
    if let Some(size) = &options.database_pool_size {
        let size = size.parse();
        let size = size.map_err(|_| Invalid::new("DATABASE_POOL_SIZE", "is not a number"))?;
        store = store.with_pool_size(size)?;
    }
    if let Some(table) = &options.tenants_table {
        store = store.with_tenants_table(table)?;
    }
    if let Some(table) = &options.tenant_config_table {
        store = store.with_tenant_config_table(table)?;
    }
    if let Some(column) = &options.tenant_config_tenant_column {
        store = store.with_tenant_column(column)?;
    }
    if let Some(column) = &options.tenant_config_customer_column {
        store = store.with_customer_column(column)?;
    }
    Ok(store)
}

/// The SQLite file that the URL names.
///
/// # Errors
/// If it names another kind of database, one in memory, or a directory that does not exist.
fn file(url: &str) -> Result<PathBuf, Failure> {
    let wrong = |reason: &str| Err(Invalid::new(FIELD, reason).into());
    let rest = match url.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sqlite") => rest,
        _ => return wrong("must be postgres://USER@HOST/NAME or sqlite:FILE"),
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path == ":memory:" {
        return wrong(
            "must name a file: a database in memory is lost when the command ends, so the next \
             command would create another Customer",
        );
    }
    if path.is_empty() || path.ends_with('/') {
        return wrong("must name a file");
    }
    if path.contains('?') {
        return wrong("has parameters after a `?`, but a SQLite URL has none");
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

fn unusable(message: &str) -> Failure {
    Failure::new(causes::DATABASE_FILE, message).about(FIELD)
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
    fn urls_that_name_no_usable_file() {
        for (url, exit) in [
            ("a.db", Exit::InvalidInput),
            ("", Exit::InvalidInput),
            ("sqlite:", Exit::InvalidInput),
            ("sqlite::memory:", Exit::InvalidInput),
            ("sqlite://:memory:", Exit::InvalidInput),
            ("sqlite:a.db?mode=ro", Exit::InvalidInput),
            ("mysql://h/d", Exit::InvalidInput),
            ("sqlite:/no/such/directory/a.db", Exit::Operator),
            ("sqlite:/tmp", Exit::Operator),
        ] {
            let failure = file(url).unwrap_err();
            assert_eq!(failure.cause.exit, exit, "{url}");
            assert_eq!(failure.field.as_deref(), Some(FIELD), "{url}");
            assert!(!failure.message.contains("secret"), "{url}");
        }
    }

    #[test]
    fn any_file() {
        use parser_inputs::{SECRET, check, letters, texts};
        use proptest::prelude::Strategy;

        const WORDS: &[&str] =
            &["sqlite:", "SQLITE:", "//", "/", "a.db", "?", ":memory:", "mysql:", "..", " "];
        let good = letters("abc. ", 1..=12).prop_map(|name| format!("sqlite:{name}"));
        check("DATABASE_URL, of SQLite", texts(good, WORDS), |url| match file(&url) {
            Ok(path) => {
                let path = path.to_str().unwrap();
                assert!(url.ends_with(path) && !path.is_empty() && !path.contains('?'), "{url:?}");
                assert_ne!(path, ":memory:");
                true
            }
            Err(failure) => {
                assert_eq!(failure.field.as_deref(), Some(FIELD));
                assert!(
                    !failure.message.contains(SECRET) && !failure.hint.contains(SECRET),
                    "{url:?}"
                );
                false
            }
        });
    }
}
