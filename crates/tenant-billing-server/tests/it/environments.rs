//! `docs/environments.md`: each of its blocks of commands is run as it is written.

use std::process::Command;

use crate::{
    server::{Database, programs},
    stage::text,
    whose::World,
};

const GUIDE: &str = include_str!("../../../../docs/environments.md");
const TENANT: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// The titles of the sections that have commands, with these.
fn sections() -> Vec<(&'static str, &'static str)> {
    let sections = GUIDE.split("\n## ").skip(1);
    let with_commands = sections.filter_map(|section| {
        let (title, _) = section.split_once('\n')?;
        let (_, rest) = section.split_once("```sh\n")?;
        Some((title, rest.split_once("```")?.0))
    });
    with_commands.collect()
}

#[test]
fn every_block_of_commands_does_what_its_section_says() {
    let sections = sections();
    assert_eq!(sections.len(), 6);
    for (title, commands) in sections {
        // Whether the copy goes on with the original's Customer.
        let shares = ["Two regions", "A move", "A restored"].iter().any(|it| title.starts_with(it));
        let key = if commands.contains("$LIVE_KEY") || title.starts_with("Staging") {
            "sk_live_1"
        } else {
            "sk_test_1"
        };
        let world = World::new();
        let directory = tempfile::tempdir().unwrap();
        let original = world.runtime.block_on(Database::fresh());
        let copy = world.runtime.block_on(Database::fresh());
        let server_url = original.url().replace(original.name(), "postgres");
        let original_url = match commands.contains("sqlite:") {
            true => format!("sqlite:{}", directory.path().join("original.db").display()),
            false => original.url(),
        };
        let run = |arguments: &[&str]| {
            let output = world.program(&original_url, key).args(arguments).output().unwrap();
            let (code, printed, said) = text(&output);
            assert_eq!(code, 0, "{title}: {arguments:?}: {said}");
            printed
        };
        run(&["migrate"]);
        run(&["tenant", "add", TENANT]);
        let theirs = run(&["get-or-create", TENANT, "owner@example.com"]);

        let program = std::path::Path::new(env!("CARGO_BIN_EXE_tenant-billing"));
        let path = std::env::join_paths(
            [program.parent().unwrap().to_owned(), programs()]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(directory.path())
            .env("PATH", path.unwrap())
            .env("STRIPE_API_BASE", world.sandbox.url())
            .env("ORIGINAL_URL", original.url())
            .env("ORIGINAL_NAME", original.name())
            .env("COPY_URL", copy.url())
            .env("COPY_NAME", copy.name())
            .env("SERVER_URL", server_url)
            .env("TEST_KEY", "sk_test_1")
            .env("LIVE_KEY", "sk_live_1")
            .env("RESTORED_AT", "2026-01-02T03:04:05Z")
            .env("TENANT", TENANT);
        let (code, printed, said) = text(&shell.output().unwrap());
        assert_eq!(code, 0, "{title}: {said}");
        let ours = printed.lines().last().unwrap();
        assert!(ours.starts_with("cus_"), "{title}: {printed}");
        assert_eq!(ours == theirs.trim_end(), shares, "{title}: {printed}");
        assert_eq!(run(&["get-or-create", TENANT, "owner@example.com"]), theirs, "{title}");
    }
}
