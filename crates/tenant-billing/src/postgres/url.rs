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

use super::names::Identifier;

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
    /// The schema in which the host's tables are looked for first. (Prisma's parameter.)
    pub(super) schema: Option<Identifier>,
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
        let (mut for_driver, mut sslmode, mut rootcert, mut prepared, mut schema) =
            (Vec::new(), None, None, false, None);
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
                "schema" if value.is_empty() => schema = None,
                "schema" => {
                    let name = Identifier::exact(&decoded(value));
                    let wrong = || wrong("has a schema that is not a schema's name".into());
                    schema = Some(name.ok_or_else(wrong)?);
                }
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
        Ok(Self { config, verify, client, prepared, schema })
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
mod tests;
