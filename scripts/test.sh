#!/usr/bin/env bash
# All tests of all crates. Needs Rust and a C compiler. Finds what else the tests need, or installs it
# where it may: PostgreSQL, of which a throwaway server runs for the time being, and Node and Python,
# with Stripe's own SDKs below target/. Touches no database of yours.
set -euo pipefail
cd "$(dirname "$0")/.."

# Tests must not meet the settings of the shell that they are started from.
unset DATABASE_URL DATABASE_DIRECT_URL DATABASE_POOL_SIZE TENANTS_TABLE RUST_LOG
unset STRIPE_SECRET_KEY STRIPE_API_BASE STRIPE_ACCOUNT

for tool in cargo cc; do
    command -v "$tool" >/dev/null || {
        echo "error: '$tool' is not here; install Rust (https://rustup.rs) and a C compiler" >&2
        exit 1
    }
done

./scripts/stripe-sdks.sh >/dev/null
exec ./scripts/with-postgres.sh cargo test --workspace --all-features "$@"
