#!/usr/bin/env bash
# All tests of all crates. Needs Rust and a C compiler, nothing else; touches no database of yours.
set -euo pipefail
cd "$(dirname "$0")/.."

# Tests must not meet the settings of the shell that they are started from.
unset DATABASE_URL STRIPE_SECRET_KEY STRIPE_API_BASE STRIPE_ACCOUNT RUST_LOG

for tool in cargo cc; do
    command -v "$tool" >/dev/null || {
        echo "error: '$tool' is not here; install Rust (https://rustup.rs) and a C compiler" >&2
        exit 1
    }
done

exec cargo test --workspace --all-features "$@"
