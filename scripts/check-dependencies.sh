#!/usr/bin/env bash
# The claims of ARCHITECTURE.md about what a crate does not depend on, checked against `cargo tree`.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
# must_not CRATE PATTERN [FLAGS…]: no line of its tree of normal dependencies matches.
must_not() {
    local crate=$1 pattern=$2 found
    shift 2
    found=$(cargo tree --package "$crate" --edges normal --prefix none "$@" | grep -E "^($pattern) v" || true)
    if [ -n "$found" ]; then
        printf 'error: %s must not depend on:\n%s\n' "$crate" "$found" >&2
        failed=1
    fi
}

must_not tenant-billing-core 'rusqlite|libsqlite3-sys|tokio-postgres|deadpool.*|reqwest|hyper.*|http|http-body.*|axum.*|tower.*|mio|socket2'
must_not tenant-billing 'axum.*|tower-http-server|clap.*|stripe-sandbox|warp|actix.*' --all-features
must_not tenant-billing 'rusqlite|libsqlite3-sys'
must_not stripe-sandbox 'tenant-billing.*'
must_not parser-inputs 'tenant-billing.*|stripe-sandbox'

features=$(cargo tree --package tenant-billing-core --edges normal,features --prefix none |
    grep -oE '^tokio feature "[^"]+"' | sort -u | grep -vE '"(rt|sync|time|default)"' || true)
if [ -n "$features" ]; then
    printf 'error: tenant-billing-core must use of tokio only rt, sync and time, not:\n%s\n' "$features" >&2
    failed=1
fi
exit "$failed"
