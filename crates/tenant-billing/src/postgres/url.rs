//! Parses a `postgres://` URL with libpq's parameters, of which the driver knows only some.
//!
//! The driver refuses a URL with a parameter that it does not know, such as `sslmode=verify-full`
//! or a pooler's own. So the URL is taken apart first: we handle the parameters about TLS, pass
//! those that the driver knows on to it unchanged, and ignore the rest with a warning that names
//! the parameter. Nothing here repeats a value.

use std::{path::PathBuf, time::Duration};

use tenant_billing_core::ids::Invalid;
use tokio_postgres::{
    Config,
    config::{SslMode, TargetSessionAttrs},
};

/// How long connecting to one host may take, including the name lookup but not TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The parameters that the driver understands.
const DRIVER_PARAMETERS: [&str; 14] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "user",
];

/// The parameters that tell other programs that a pooler is in front. We need not know that.
const POOLER_PARAMETERS: [&str; 2] = ["pgbouncer", "statement_cache_size"];

/// libpq's parameters that demand a check or a secret which we do not have. To ignore them would
/// be to do less than was asked for.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("sslcrl", NO_LISTS),
    ("sslcrldir", NO_LISTS),
    ("sslpassword", "rustls reads no encrypted key; decrypt the key, and take sslpassword out"),
    ("require_auth", "the driver cannot demand a way to log in; take it out"),
];
const NO_LISTS: &str = "lists of revoked certificates are not read here; take it out";

/// Where a database is, and how to connect to it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) verify: Verify,
    /// The files with a certificate of our own, and with its key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
    /// Whether statements may be prepared by name, since no pooler is in front.
    pub(super) prepared: bool,
}

/// How much of the server's certificate is checked if TLS is used. The names are libpq's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verify {
    /// `disable`, `allow`, `prefer` and `require`: nothing. The connection is only encrypted.
    Nothing,
    /// `verify-ca`: one of these authorities has signed the certificate.
    Authority(Roots),
    /// `verify-full`: one of these authorities has signed it, for the host that we connect to.
    Full(Roots),
}

/// The authorities whose signature counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// The authorities that the machine trusts.
    System,
    /// The authorities in this PEM file.
    File(PathBuf),
}

impl Target {
    /// Parses `url`. Messages call it `field`.
    pub(super) fn parse(url: &str, field: &str) -> Result<Self, Invalid> {
        let wrong = |reason: String| Invalid::new(field, reason);
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let scheme = base.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("postgres" | "postgresql")) {
            return Err(wrong("is not of the form postgres://user@host/database".into()));
        }
        separated(base).map_err(|reason| wrong(reason.into()))?;
        let (mut for_driver, mut sslmode, mut rootcert, mut prepared) =
            (Vec::new(), None, None, false);
        let (mut sslcert, mut sslkey) = (None, None);
        let mut unknown = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "prepared_statements" => {
                    let wrong =
                        |_| wrong("has prepared_statements that is neither true nor false".into());
                    prepared = value.parse().map_err(wrong)?;
                }
                name if POOLER_PARAMETERS.contains(&name) => {}
                "sslmode" => sslmode = Some(decoded(value)),
                "sslrootcert" => rootcert = Some(decoded(value)),
                "sslcert" => sslcert = Some(decoded(value)),
                "sslkey" => sslkey = Some(decoded(value)),
                // We always use the primary. The parameter may be there for other programs.
                "target_session_attrs" => {}
                // libpq takes several hosts in one parameter; the driver takes one in each.
                "host" => for_driver.extend(value.split(',').map(|host| format!("host={host}"))),
                name if DRIVER_PARAMETERS.contains(&name) => for_driver.push(pair.to_owned()),
                // This may be the rest of a password with a question mark in it.
                _ if pair.contains('@') => {
                    return Err(wrong(
                        "has an @ after a ?; if the ? is part of a password, write it as %3F"
                            .into(),
                    ));
                }
                name => match UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name) {
                    Some((name, why)) => return Err(wrong(format!("has {name}, but {why}"))),
                    None => unknown.push(name),
                },
            }
        }
        let mut config: Config = format!("{base}?{}", for_driver.join("&"))
            .parse()
            .map_err(|_| wrong("is not a URL that PostgreSQL's driver understands".into()))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("names no host".into()));
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("tenant-billing");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        for name in unknown {
            let name: String = name.chars().filter(char::is_ascii_graphic).collect();
            tracing::warn!("{field}: the parameter {name:?} is unknown, so it is ignored");
        }
        let (mode, verify) = tls(sslmode.as_deref(), rootcert).map_err(wrong)?;
        config.ssl_mode(mode);
        let client = match (sslcert, sslkey) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("has sslcert without sslkey".into())),
            (None, Some(_)) => return Err(wrong("has sslkey without sslcert".into())),
        };
        Ok(Self { config, verify, client, prepared })
    }

    /// The same, but for any server, also one that takes no writes.
    pub(super) fn of_any_kind(&self) -> Self {
        let mut target = self.clone();
        target.config.target_session_attrs(TargetSessionAttrs::Any);
        target
    }
}

/// Whether the part of a URL before its parameters comes apart as whoever wrote it has meant. The
/// driver takes what is before the first `@` for user and password, whatever is in it, and what
/// follows for a host.
fn separated(base: &str) -> Result<(), &'static str> {
    let rest = base.split_once("://").map_or("", |(_, rest)| rest);
    let (_, after) = rest.split_once('@').unwrap_or(("", rest));
    if after.contains('@') {
        return Err("has more than one @; within a user's name, a password or a database's name, \
                    write it as %40");
    }
    let host = after.split('/').next().unwrap_or_default();
    if host.contains(|c: char| !(c.is_alphanumeric() || "-._:,[]%".contains(c))) {
        return Err("has a character in its host that no host has; in a password, write it \
                    percent-encoded");
    }
    Ok(())
}

/// The driver's mode and our own checks for `sslmode` and `sslrootcert`.
fn tls(mode: Option<&str>, rootcert: Option<String>) -> Result<(SslMode, Verify), String> {
    let system = rootcert.as_deref() == Some("system");
    let roots = match &rootcert {
        Some(path) if !system => Roots::File(path.into()),
        Some(_) | None => Roots::System,
    };
    // These rules are libpq's. The machine's authorities sign for everybody, so the host's name
    // must be checked with them; and if a file of authorities is given, `require` checks them too.
    let default = if system { "verify-full" } else { "prefer" };
    Ok(match mode.unwrap_or(default) {
        "disable" => (SslMode::Disable, Verify::Nothing),
        "allow" | "prefer" => (SslMode::Prefer, Verify::Nothing),
        "require" if rootcert.is_none() => (SslMode::Require, Verify::Nothing),
        "require" | "verify-ca" if !system => (SslMode::Require, Verify::Authority(roots)),
        "verify-full" => (SslMode::Require, Verify::Full(roots)),
        "require" | "verify-ca" => {
            return Err("has sslrootcert=system, which needs sslmode=verify-full".into());
        }
        _ => {
            return Err(
                "has an unknown sslmode; use disable, allow, prefer, require, verify-ca or \
                        verify-full"
                    .into(),
            );
        }
    })
}

/// Decodes percent-encoding such as `%2F`. A plus sign stays a plus sign.
fn decoded(value: &str) -> String {
    let pair = format!("v={}", value.replace('+', "%2B"));
    form_urlencoded::parse(pair.as_bytes()).next().map_or_else(String::new, |(_, v)| v.into_owned())
}

#[cfg(test)]
mod tests {
    use parser_inputs::{SECRET, check as try_on, texts};
    use proptest::{collection::vec, prelude::Strategy, sample::select};
    use tokio_postgres::config::Host;

    use super::*;

    fn check(query: &str, mode: SslMode, verify: Verify) {
        let target = Target::parse(&format!("postgres://u:secret@h:5/d{query}"), "URL").unwrap();
        assert_eq!((target.config.get_ssl_mode(), target.verify), (mode, verify), "{query}");
        assert_eq!(target.config.get_dbname(), Some("d"), "{query}");
        assert_eq!(target.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn sslmode_and_sslrootcert_are_those_of_libpq() {
        let file = || Roots::File("/etc/my ca+1.pem".into());
        check("", SslMode::Prefer, Verify::Nothing);
        check("?sslmode=disable", SslMode::Disable, Verify::Nothing);
        check("?sslmode=prefer&pgbouncer=true", SslMode::Prefer, Verify::Nothing);
        check("?sslmode=require", SslMode::Require, Verify::Nothing);
        let named = "?sslrootcert=%2Fetc/my%20ca+1.pem&sslmode=";
        check(&format!("{named}require"), SslMode::Require, Verify::Authority(file()));
        check(&format!("{named}verify-ca"), SslMode::Require, Verify::Authority(file()));
        check(&format!("{named}verify-full"), SslMode::Require, Verify::Full(file()));
        check("?sslmode=verify-full", SslMode::Require, Verify::Full(Roots::System));
        check("?sslmode=verify-ca", SslMode::Require, Verify::Authority(Roots::System));
        check("?sslrootcert=system", SslMode::Require, Verify::Full(Roots::System));
    }

    #[test]
    fn unknown_parameters_are_ignored() {
        let url = "postgresql://h1,h2:5433/d?schema=x&connection_limit=1&application_name=mine\
                   &target_session_attrs=any&sslnegotiation=weird";
        let config = Target::parse(url, "URL").unwrap().config;
        assert_eq!(config.get_hosts().len(), 2);
        assert_eq!(config.get_application_name(), Some("mine"));
        let sockets = Target::parse("postgres:///d?host=/a,/b%20c", "URL").unwrap().config;
        assert_eq!(sockets.get_hosts(), [Host::Unix("/a".into()), Host::Unix("/b c".into())]);
    }

    #[test]
    fn malformed_urls_are_refused() {
        for (url, part) in [
            ("", "not of the form"),
            ("mysql://u:secret@h/d", "not of the form"),
            ("host=h password=secret", "not of the form"),
            ("postgres://u:secret@h:port/d", "driver"),
            ("postgres://u:5?secret@h/d", "%3F"),
            ("postgres://u:5?se=secret@h/d", "%3F"),
            ("postgres:///d", "names no host"),
            ("postgres://h/d?sslmode=secret", "sslmode"),
            ("postgres://h/d?sslmode=require&sslrootcert=system", "verify-full"),
            ("postgres://h/d?connect_timeout=secret", "driver"),
            ("postgres://u:sec@ret@h/d", "more than one @"),
            ("postgres://u@x:secret@h/d", "more than one @"),
            ("postgres://u:secret@h/d@x", "more than one @"),
            ("postgres://u:sec?ret@h/d", "write it as %3F"),
            ("postgres://u:x@sec ret/d", "a character in its host"),
            ("postgres://u:x@sec#ret/d", "a character in its host"),
            ("postgres://h/d?sslcert=secret", "without sslkey"),
            ("postgres://h/d?sslkey=secret", "without sslcert"),
            ("postgres://h/d?sslpassword=secret", "sslpassword"),
            ("postgres://h/d?sslcrl=secret", "sslcrl"),
            ("postgres://h/d?require_auth=secret", "require_auth"),
            ("postgres://h/d?prepared_statements=secret", "neither true nor false"),
        ] {
            let invalid = Target::parse(url, "database_url").unwrap_err();
            assert_eq!(invalid.field, "database_url", "{url}");
            assert!(invalid.reason.contains(part), "{url}: {invalid}");
            assert!(!invalid.reason.contains("secret"), "{url}: {invalid}");
        }
    }

    #[test]
    fn any_url() {
        const WORDS: &[&str] = &[
            "postgres://",
            "postgresql://",
            "u",
            ":",
            "Zq7Secret",
            "@",
            "h",
            ",",
            ":5432",
            "/",
            "d",
            "?",
            "&",
            "=",
            "host=",
            "hostaddr=",
            "127.0.0.1",
            "[::1]",
            "sslmode=",
            "options=",
            "-c%20a%3Db",
            "%2F",
            "port=",
            "user=",
            "password=",
            "keepalives_idle=",
            "prepared_statements=",
        ];
        let bases = [
            "postgres://u:Zq7Secret@h:5/d",
            "postgres://h1,h2:5433/d",
            "postgresql:///d",
            "postgres://[::1]/d",
            "postgres://u%40x@%2Ftmp/d",
        ];
        let settings = [
            "sslmode=require",
            "sslmode=verify-full",
            "sslmode=disable",
            "sslrootcert=system",
            "sslrootcert=%2Fa.pem",
            "host=/tmp,h",
            "connect_timeout=3",
            "pgbouncer=true",
            "target_session_attrs=any",
            "keepalives=0",
            "application_name=a%20b",
            "prepared_statements=true",
            "schema=x",
            "port=5432",
            "keepalives_retries=2",
            "load_balance_hosts=random",
            "channel_binding=prefer",
            "hostaddr=127.0.0.1",
            "statement_cache_size=0",
        ];
        let good = (select(bases.to_vec()), vec(select(settings.to_vec()), 0..3))
            .prop_map(|(base, settings)| format!("{base}?{}", settings.join("&")));
        try_on("PostgreSQL URL", texts(good, WORDS), |url| {
            let Target { config, verify, client: _, prepared: _ } =
                match Target::parse(&url, "database_url") {
                    Ok(target) => target,
                    Err(invalid) => {
                        assert_eq!(invalid.field, "database_url");
                        assert!(!invalid.reason.contains(SECRET), "{url:?}: {invalid}");
                        return false;
                    }
                };
            assert!(
                !config.get_hosts().is_empty() || !config.get_hostaddrs().is_empty(),
                "{url:?}"
            );
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
            assert!(
                config.get_application_name().is_some() && config.get_connect_timeout().is_some()
            );
            // If a check was asked for, there is no connection without it.
            assert!(
                verify == Verify::Nothing || config.get_ssl_mode() == SslMode::Require,
                "{url:?}"
            );
            let query = url.split_once('?').map_or("", |(_, query)| query);
            let asked = query.rsplit('&').next() == Some("sslmode=verify-full");
            assert!(!asked || matches!(verify, Verify::Full(_)), "{url:?}");
            true
        });
    }
}
