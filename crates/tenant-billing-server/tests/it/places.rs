//! What the program says of where it has looked, and what it shows in full.

use crate::stage::{Stage, text};

#[test]
fn a_tenant_that_is_not_there_is_looked_for_in_a_database_with_a_name() {
    let tenant = "00000000-0000-4000-8000-00000000beef";
    for (stage, place) in
        Stage::of_each_kind().into_iter().zip(["the SQLite file ", "the database "])
    {
        for command in [
            &["lookup", tenant][..],
            &["history", tenant],
            &["get-or-create", tenant],
            &["unbind", tenant, "--reason", "none"],
        ] {
            let (code, _, said) = stage.run(command);
            assert_eq!(code, 3, "{said}");
            assert!(said.contains("that must commit before"), "{said}");
            assert!(said.contains(&format!("(looked in table tenants of {place}")), "{said}");
            // The program has made this table.
            assert!(said.contains("run `tenant-billing tenant add`"), "{said}");
        }
        let known = &stage.tenants(1)[0];
        let (code, _, said) = stage.run(&["lookup", known]);
        assert!(code == 1 && said.contains(&format!("no Customer yet in {place}")), "{said}");
    }
}

#[test]
fn nobody_is_advised_to_write_to_the_applications_own_table() {
    let stage = Stage::on_empty_server();
    let tables = "CREATE TABLE organizations (id uuid PRIMARY KEY, name text NOT NULL);
                  CREATE TABLE tenant_config (
                      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
                      tenant_id uuid NOT NULL UNIQUE REFERENCES organizations (id),
                      stripe_customer_id varchar(255) UNIQUE,
                      created_at timestamptz NOT NULL DEFAULT now(),
                      updated_at timestamptz NOT NULL DEFAULT now())";
    stage.runtime.block_on(stage.server().run(tables));
    let of = |arguments: &[&str]| {
        let mut command = stage.binary(arguments);
        text(&command.env("TENANTS_TABLE", "organizations").output().unwrap())
    };
    let (code, _, error) = of(&["migrate"]);
    assert_eq!(code, 0, "{error}");
    let (code, _, said) = of(&["lookup", "00000000-0000-4000-8000-00000000beef"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("looked in table organizations of the database "), "{said}");
    assert!(said.contains("commit it first") && !said.contains("tenant add"), "{said}");
}

#[test]
fn without_a_database_url_the_program_says_which_file_it_uses() {
    let stage = Stage::new();
    let directory = stage.file("empty");
    std::fs::create_dir(&directory).unwrap();
    let says = "DATABASE_URL is not set, so this uses the SQLite file tenant-billing.db";
    let run = |arguments: &[&str], url: Option<&str>| {
        let mut command = stage.binary(arguments);
        command.current_dir(&directory).env_remove("DATABASE_URL");
        text(&command.envs(url.map(|url| ("DATABASE_URL", url))).output().unwrap()).2
    };
    for arguments in [&["migrate"][..], &["recover"], &["list", "--state", "surplus"]] {
        assert_eq!(run(arguments, None).matches(says).count(), 1);
        assert_eq!(run(arguments, Some("")).matches(says).count(), 1);
        assert!(!run(arguments, Some("sqlite:other.db")).contains(says));
    }
    assert!(!run(&["demo", "--tenants=1", "--callers=1"], None).contains(says));
    assert!(directory.join("tenant-billing.db").exists());
}

/// A tenant whose id is part of a Customer's id, of a request's, and of a key.
#[test]
fn a_history_shortens_nothing() {
    let stage = Stage::on_empty_server();
    let tables = "CREATE TABLE tenants (id bigint PRIMARY KEY);
                  CREATE TABLE tenant_config (
                      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
                      tenant_id bigint NOT NULL UNIQUE REFERENCES tenants (id),
                      stripe_customer_id varchar(255) UNIQUE,
                      created_at timestamptz NOT NULL DEFAULT now(),
                      updated_at timestamptz NOT NULL DEFAULT now());
                  INSERT INTO tenants VALUES (3)";
    stage.runtime.block_on(stage.server().run(tables));
    assert_eq!(stage.run(&["migrate"]).0, 0);
    let id = stage.run(&["get-or-create", "3"]).1;
    let key = &stage.sandbox.requests().into_iter().find_map(|it| it.idempotency_key).unwrap();
    let (code, history, _) = stage.run(&["history", "3"]);
    assert!(code == 0 && history.contains(&format!("key {key}")), "{history}");
    assert!(history.contains(id.trim()) && !history.contains('…'), "{history}");
}
