//! Every command line either gives valid arguments or an error.

use super::*;

#[test]
fn clap_finds_no_contradiction() {
    Cli::command().debug_assert();
}

/// Separates the words of a command line; no word contains it.
const SEPARATOR: char = '\u{1f}';

#[test]
fn any_command_line() {
    use parser_inputs::{check, texts};
    use proptest::{prelude::Strategy, sample::select};

    const WORDS: &[&str] = &[
        "\u{1f}",
        "\u{1f}--",
        "--json",
        "=",
        "-",
        "t",
        "a@b.example",
        "--metadata\u{1f}a=b",
        "--deadline=5",
        "\u{1f}--sandbox",
        "--stripe-api-base\u{1f}http://h",
        "--help",
        "demo",
        "recover",
        "--restored-at",
    ];
    let good = [
        "migrate",
        "migrate\u{1f}--print-grants\u{1f}app",
        "tenant\u{1f}add\u{1f}t1\u{1f}t2",
        "get-or-create\u{1f}t\u{1f}a@b.example\u{1f}--name\u{1f}Jane\u{1f}--metadata\u{1f}plan=pro",
        "get-or-create\u{1f}t\u{1f}a@b.example\u{1f}--deadline\u{1f}30\u{1f}--json",
        "lookup\u{1f}t\u{1f}--database-url\u{1f}sqlite:a.db",
        "--sandbox\u{1f}recover\u{1f}--wait",
        "history\u{1f}t\u{1f}--json\u{1f}--restored-at\u{1f}2026-11-25T10:00:00Z",
        "demo\u{1f}--seed\u{1f}7\u{1f}--tenants\u{1f}10\u{1f}--callers\u{1f}3",
        "--version",
    ];
    check("command line", texts(select(good.to_vec()).prop_map(str::to_owned), WORDS), |text| {
        let words = ["tenant-billing"].into_iter().chain(text.split(SEPARATOR)).map(OsString::from);
        match Cli::read(words) {
            Ok(cli) => {
                let options = cli.options;
                assert!(!options.database_url().is_empty());
                assert!(!options.sandbox || !text.contains("--stripe-api-base=http"));
                for set in [
                    options.tenants_table,
                    options.tenant_config_table,
                    options.tenant_config_tenant_column,
                    options.tenant_config_customer_column,
                    options.stripe_api_base,
                    options.stripe_account,
                ] {
                    assert_ne!(set.as_deref(), Some(""));
                }
                match cli.command {
                    Command::GetOrCreate(it) => assert!((1..=3600).contains(&it.deadline)),
                    Command::Demo(it) => {
                        assert!(
                            (1..=1000).contains(&it.tenants) && (1..=100).contains(&it.callers)
                        );
                    }
                    _ => {}
                }
                true
            }
            Err(message) => {
                let asked =
                    matches!(message.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
                assert_eq!(message.exit_code(), if asked { 0 } else { 2 });
                false
            }
        }
    });
}

#[test]
fn any_metadata() {
    use parser_inputs::{assert_silent, check, letters, texts};

    check("KEY=VALUE", texts(letters("ab=", 2..=12), &["=", "plan", "==", "é"]), |text| {
        match key_value(&text) {
            Ok((key, value)) => {
                assert_eq!(format!("{key}={value}"), text);
                assert!(!key.contains('='));
                true
            }
            Err(why) => {
                assert!(!text.contains('='));
                assert_silent(&why, &text);
                false
            }
        }
    });
}

/// A time that is read is the one that is printed.
#[test]
fn any_time() {
    use parser_inputs::{check, texts};
    use proptest::prelude::{Strategy, any};

    const WORDS: &[&str] =
        &["2026", "-11", "-25", "T", "10:00", ":00", "Z", "+01:00", "[Europe/Berlin]", ".5", " "];
    let good =
        any::<u32>().prop_map(|it| Timestamp::from_second(i64::from(it)).unwrap().to_string());
    check("--restored-at", texts(good, WORDS), |text| {
        let time = text.parse::<Timestamp>().ok();
        assert!(
            time.is_none_or(|time| time
                .to_string()
                .parse::<Timestamp>()
                .is_ok_and(|again| again == time)),
            "{text:?}"
        );
        time.is_some()
    });
}
