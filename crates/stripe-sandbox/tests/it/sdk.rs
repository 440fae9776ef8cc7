//! Stripe's own SDKs, unchanged, and the README's lines for them.
//!
//! `scripts/stripe-sdks.sh` installs the SDKs. These tests fail if it has not run, because a
//! sandbox that nobody tried with a real SDK has not been tested.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stripe_sandbox::Sandbox;

/// Where the SDKs are.
fn sdks() -> PathBuf {
    let default = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("stripe-sdks");
    env::var_os("STRIPE_SDKS").map_or_else(default, PathBuf::from)
}

#[derive(Debug, Clone, Copy)]
enum Language {
    Node,
    Python,
}

impl Language {
    /// Runs a program of this language with its SDK, from a directory of its own.
    fn run(self, name: &str, text: &str, argument: &str) -> Output {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join(name);
        fs::write(&script, text).unwrap();
        let (interpreter, installed) = match self {
            Language::Node => ("node", sdks().join("node/node_modules/stripe")),
            Language::Python => ("python3", sdks().join("python/stripe")),
        };
        assert!(
            installed.is_dir(),
            "{} is not there: run scripts/stripe-sdks.sh, which installs Stripe's SDKs for this test",
            installed.display()
        );
        // Node looks for packages beside the script.
        #[cfg(unix)]
        std::os::unix::fs::symlink(
            sdks().join("node/node_modules"),
            dir.path().join("node_modules"),
        )
        .unwrap();
        let mut command = Command::new(interpreter);
        command.arg(&script).arg(argument).env("PYTHONPATH", sdks().join("python"));
        // The environment of the shell that starts the tests must not matter.
        for setting in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NODE_OPTIONS"] {
            command.env_remove(setting);
        }
        command.output().unwrap_or_else(|why| panic!("{interpreter} cannot be run: {why}"))
    }
}

async fn passes(language: Language, name: &'static str, text: String, url: &str) -> String {
    let url = url.to_owned();
    let output =
        tokio::task::spawn_blocking(move || language.run(name, &text, &url)).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{language:?}, {name}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Each suite says how many tests passed; here is how many there are.
async fn suite(language: Language, name: &'static str, mark: &str) {
    let sandbox = Sandbox::start().await.unwrap();
    let text = read(&format!("tests/sdk/{name}"));
    let tests = text.lines().filter(|line| line.starts_with(mark)).count();
    assert!(tests > 10, "{name}: the mark has changed");
    let said = passes(language, name, text, &sandbox.url()).await;
    assert_eq!(said.trim(), format!("{tests} passed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_node_finds_a_stripe() {
    suite(Language::Node, "suite.mjs", "  async \"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_python_finds_a_stripe() {
    suite(Language::Python, "suite.py", "def test_").await;
}

/// The README's only block in this language.
fn snippet(language: &str) -> String {
    let readme = read("README.md");
    let fence = format!("```{language}\n");
    let mut blocks = readme.split(&fence).skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next());
    assert!(blocks.next().is_none(), "the README has several blocks of {language}");
    block.expect("the README has a block").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_tests_for_a_lost_answer_pass_and_are_ten_lines() {
    for (language, fence, name) in
        [(Language::Node, "js", "lost.mjs"), (Language::Python, "python", "lost.py")]
    {
        let sandbox = Sandbox::start().await.unwrap();
        let port = sandbox.url().rsplit(':').next().unwrap().to_owned();
        let text = snippet(fence);
        assert!(text.lines().count() <= 10, "{fence}");
        passes(language, name, text.replace("12111", &port), "").await;
        let counters = sandbox.counters();
        assert_eq!(counters.faults.get("answer_lost"), Some(&1), "{fence}");
        assert_eq!((counters.customers_created, counters.replays), (1, 1), "{fence}");
    }
}

/// A suite that does not run at all has not passed.
#[test]
fn a_suite_that_fails_is_seen_to_fail() {
    for (language, name, text) in [
        (Language::Node, "fails.mjs", "import Stripe from 'stripe'; process.exit(Stripe ? 3 : 0);"),
        (Language::Python, "fails.py", "import stripe, sys; sys.exit(3 if stripe else 0)"),
    ] {
        let output = language.run(name, text, "");
        assert_eq!(output.status.code(), Some(3), "{}", OsStr::new(name).display());
    }
}
