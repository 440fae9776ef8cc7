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
    let url = "postgresql://h1,h2:5433/d?socket_timeout=9&connection_limit=1&application_name=mine\
               &target_session_attrs=any&sslnegotiation=weird";
    let config = Target::parse(url, "URL").unwrap().config;
    assert_eq!(config.get_hosts().len(), 2);
    assert_eq!(config.get_application_name(), Some("mine"));
    let sockets = Target::parse("postgres:///d?host=/a,/b%20c", "URL").unwrap().config;
    assert_eq!(sockets.get_hosts(), [Host::Unix("/a".into()), Host::Unix("/b c".into())]);
}

#[test]
fn prismas_schema() {
    let schema = |query| {
        let url = format!("postgres://h/d?{query}");
        Target::parse(&url, "URL").map(|it| it.schema.map(|it| it.text)).ok()
    };
    assert_eq!(schema("sslmode=disable"), Some(None));
    assert_eq!(schema("schema="), Some(None));
    assert_eq!(schema("schema=App"), Some(Some("App".into())));
    assert_eq!(schema("schema=my%20app"), Some(Some("my app".into())));
    assert_eq!(schema("schema=%0A"), None);
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
        ("postgres://h/d?schema=secret%00", "not a schema's name"),
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
        let Target { config, verify, client: _, prepared: _, schema: _ } =
            match Target::parse(&url, "database_url") {
                Ok(target) => target,
                Err(invalid) => {
                    assert_eq!(invalid.field, "database_url");
                    assert!(!invalid.reason.contains(SECRET), "{url:?}: {invalid}");
                    return false;
                }
            };
        assert!(!config.get_hosts().is_empty() || !config.get_hostaddrs().is_empty(), "{url:?}");
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert!(config.get_application_name().is_some() && config.get_connect_timeout().is_some());
        // If a check was asked for, there is no connection without it.
        assert!(verify == Verify::Nothing || config.get_ssl_mode() == SslMode::Require, "{url:?}");
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let asked = query.rsplit('&').next() == Some("sslmode=verify-full");
        assert!(!asked || matches!(verify, Verify::Full(_)), "{url:?}");
        true
    });
}
