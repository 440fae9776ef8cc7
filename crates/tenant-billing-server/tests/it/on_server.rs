//! The commands on a PostgreSQL server, as a new user meets them.

use crate::stage::{Stage, text};

const TENANT: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// Runs a command, and returns its exit code and its whole output.
fn run(stage: &Stage, arguments: &[&str]) -> (i32, String) {
    let (code, printed, error) = text(&stage.binary(arguments).output().unwrap());
    (code, printed + &error)
}

#[test]
fn first_steps() {
    let stage = Stage::on_empty_server();
    let error = "the tables of tenant-billing are missing; run its migrations\n\
                 hint: run `tenant-billing migrate`\n";
    for command in [
        &["lookup", TENANT][..],
        &["history", TENANT],
        &["tenant", "add", TENANT],
        &["get-or-create", TENANT, "owner@example.com"],
        &["recover"],
        &["migrate", "--print-grants"],
    ] {
        let (code, said) = run(&stage, command);
        assert!(code == 6 && said.contains(error), "{command:?}: {code} {said}");
    }
    assert_eq!(run(&stage, &["migrate"]), (0, "the database is up to date\n".to_owned()));
    assert_eq!(run(&stage, &["migrate"]), (0, "the database is up to date\n".to_owned()));
    assert_eq!(run(&stage, &["lookup", TENANT]).0, 3);
    assert_eq!(run(&stage, &["tenant", "add", TENANT]), (0, "added 1\n".to_owned()));
    assert_eq!(run(&stage, &["lookup", TENANT]).0, 1);
    let (code, id) = run(&stage, &["get-or-create", TENANT, "owner@example.com"]);
    assert!(code == 0 && id.starts_with("cus_"), "{id}");
    assert_eq!(run(&stage, &["lookup", &TENANT.to_uppercase()]), (0, id.clone()));
    let (code, history) = run(&stage, &["history", TENANT]);
    assert!(code == 0 && history.contains("created") && history.contains(id.trim()), "{history}");
    assert_eq!(run(&stage, &["recover"]), (0, "provisioned 0; nothing remains\n".to_owned()));
    let (code, grants) = run(&stage, &["migrate", "--print-grants", "my app"]);
    let line = "GRANT SELECT, INSERT ON tenant_billing.billing_event TO \"my app\";\n";
    assert!(code == 0 && grants.contains(line), "{grants}");
    stage.assert_all_bound();
}

/// The message names an invalid setting, and does not repeat its value.
#[test]
fn invalid_settings() {
    let (server, file) = (Stage::on_empty_server(), Stage::new());
    for (stage, variable, value, reason) in [
        (&server, "DATABASE_POOL_SIZE", "many", "DATABASE_POOL_SIZE: is not a number"),
        (&server, "DATABASE_POOL_SIZE", "0", "DATABASE_POOL_SIZE: is 0"),
        (
            &server,
            "TENANTS_TABLE",
            "a; DROP",
            "TENANTS_TABLE: is neither `none` nor a table's name",
        ),
        (
            &server,
            "DATABASE_DIRECT_URL",
            "sqlite:secret",
            "DATABASE_DIRECT_URL: is not of the form",
        ),
        (&server, "DATABASE_URL", "postgres://u:secret@h:x/d", "DATABASE_URL: is not a URL that"),
        (
            &server,
            "DATABASE_URL",
            "postgres:secret",
            "DATABASE_URL: is not of the form postgres://",
        ),
        (&file, "TENANTS_TABLE", "organizations", "TENANTS_TABLE: is for PostgreSQL only"),
        (&server, "TENANT_CONFIG_TABLE", "a.b.c", "TENANT_CONFIG_TABLE: is not a table's name"),
        (
            &server,
            "TENANT_CONFIG_TENANT_COLUMN",
            "a.b",
            "TENANT_CONFIG_TENANT_COLUMN: is not a column's name",
        ),
        (
            &server,
            "TENANT_CONFIG_CUSTOMER_COLUMN",
            "\"",
            "TENANT_CONFIG_CUSTOMER_COLUMN: is not a column's name",
        ),
        (&file, "TENANT_CONFIG_TABLE", "x", "TENANT_CONFIG_TABLE: is for PostgreSQL only"),
        (
            &file,
            "TENANT_CONFIG_TENANT_COLUMN",
            "x",
            "TENANT_CONFIG_TENANT_COLUMN: is for PostgreSQL only",
        ),
        (
            &file,
            "TENANT_CONFIG_CUSTOMER_COLUMN",
            "x",
            "TENANT_CONFIG_CUSTOMER_COLUMN: is for PostgreSQL only",
        ),
    ] {
        let mut command = stage.binary(&["lookup", TENANT]);
        let (code, printed, error) = text(&command.env(variable, value).output().unwrap());
        assert_eq!((code, printed.as_str()), (2, ""), "{variable}={value}: {error}");
        assert!(error.contains(reason), "{variable}={value}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let (code, said) = run(&file, &["migrate", "--print-grants"]);
    assert!(code == 2 && said.contains("--print-grants: is for PostgreSQL"), "{said}");
}

/// A host whose Customers' ids are in its own table: `migrate` names the settings that use it, and
/// they work as variables and as flags. Another setting is refused from then on.
#[test]
fn the_column_of_a_table_of_tenants() {
    let stage = Stage::on_empty_server();
    let tables = "CREATE TABLE organizations (id bigserial PRIMARY KEY, name text,
                      stripe_customer_id text UNIQUE);
                  CREATE TABLE users (id bigserial PRIMARY KEY);
                  INSERT INTO organizations (stripe_customer_id) VALUES ('cus_old'), (NULL)";
    stage.runtime.block_on(stage.server().run(tables));
    let (code, said) = run(&stage, &["migrate", "--tenants-table", "organizations"]);
    let settings = "TENANT_CONFIG_TABLE=public.organizations TENANT_CONFIG_TENANT_COLUMN=id \
                    TENANT_CONFIG_CUSTOMER_COLUMN=stripe_customer_id";
    assert!(code == 6 && said.contains(&format!("set {settings}")), "{said}");

    let flags = [
        "--tenants-table=organizations",
        "--tenant-config-table=public.organizations",
        "--tenant-config-tenant-column=id",
        "--tenant-config-customer-column=stripe_customer_id",
    ];
    let (code, said) = run(&stage, &[&["migrate"], &flags[..]].concat());
    assert_eq!(code, 0, "{said}");
    let with_settings = |arguments: &[&str], tenants: &str| {
        let mut command = stage.binary(arguments);
        for setting in settings.split(' ') {
            let (name, value) = setting.split_once('=').unwrap();
            command.env(name, value);
        }
        let output = command.env("TENANTS_TABLE", tenants).output().unwrap();
        let (code, printed, error) = text(&output);
        (code, printed + &error)
    };
    let lookup = with_settings(&["lookup", "1"], "organizations");
    assert_eq!(lookup, (0, "cus_old\n".to_owned()));
    let call = ["get-or-create", "--", "2", "owner@example.com"];
    let (code, made) = with_settings(&call, "organizations");
    assert!(code == 0 && made.starts_with("cus_"), "{made}");
    let (code, said) = with_settings(&["lookup", "1"], "users");
    let words = "TENANTS_TABLE is public.users, and was public.organizations";
    assert!(code == 6 && said.contains(words), "{said}");

    // The keys become another type: nobody is told to try again.
    let other = "ALTER TABLE organizations ALTER id DROP DEFAULT,
                     ALTER id TYPE uuid USING lpad(id::text, 32, '0')::uuid";
    stage.runtime.block_on(stage.server().run(other));
    for command in [&["recover"][..], &["recover", "--wait"], &["lookup", "2"]] {
        let (code, said) = with_settings(command, "organizations");
        let words = "the tenants' keys are uuid now, and were a whole number when";
        assert!(code == 6 && said.contains(words), "{command:?}: {code} {said}");
    }
}

/// An address that looks like a flag is an address after `--`.
#[test]
fn an_address_that_looks_like_a_flag() {
    let stage = Stage::new();
    for address in ["-h", "--version", "--json"] {
        let (code, said) = run(&stage, &["get-or-create", "--", TENANT, address]);
        assert!(code == 2 && said.contains("email"), "{address}: {code} {said}");
    }
}
