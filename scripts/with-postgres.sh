#!/usr/bin/env bash
# Runs a command with a throwaway PostgreSQL beside it, and removes that again, however the command ends:
#
#     scripts/with-postgres.sh cargo test --workspace --all-features
#
# Takes the newest PostgreSQL of this machine, or the one whose programs TEST_POSTGRES_BIN names; where
# there is none, installs one if it may. The server runs as an ordinary user (PostgreSQL refuses root),
# in a directory of its own, and answers on a socket there, so it meets no other server. No database of
# yours is touched. What the command finds:
#
#     TEST_POSTGRES_URL   a superuser's way in
#     TEST_POSTGRES_DIR   the directory; further servers that tests start in it are stopped too
#     TEST_POSTGRES_BIN   PostgreSQL's programs
#     TEST_POSTGRES_UID, TEST_POSTGRES_GID   whom they must run as; empty if that is who you are
set -euo pipefail

complain() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
[ $# -gt 0 ] || complain "usage: $0 COMMAND [ARGUMENT…]"

is_complete() { [ -x "$1/initdb" ] && [ -x "$1/pg_ctl" ] && [ -x "$1/postgres" ]; }

# The directory of the newest complete set of programs.
find_programs() {
    local candidate
    for candidate in \
        $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin \
            /usr/local/opt/postgresql@*/bin /usr/local/pgsql/bin 2>/dev/null | sort -rV) \
        "$(dirname "$(command -v initdb || echo /none)")"; do
        if is_complete "$candidate"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# Whoever names them means those and no others.
bin=${TEST_POSTGRES_BIN:-}
if [ -n "$bin" ]; then
    is_complete "$bin" ||
        complain "initdb, pg_ctl and postgres are not all in '$bin'; name their directory in TEST_POSTGRES_BIN, or unset it"
else
    bin=$(find_programs) || {
        "$(dirname "$0")/install-packages.sh" \
            apt=postgresql dnf=postgresql-server apk=postgresql brew=postgresql@17 ||
            complain 'PostgreSQL is not here; install its server, or name its programs in TEST_POSTGRES_BIN'
        bin=$(find_programs) || complain 'PostgreSQL was installed, but its programs are not where they usually are'
    }
fi

uid='' gid='' as=()
if [ "$(id -u)" = 0 ]; then
    # Any user but root will do; Debian's own is there for this.
    user=$(id -un postgres 2>/dev/null || echo nobody)
    uid=$(id -u "$user") gid=$(id -g "$user")
    as=(setpriv --reuid "$uid" --regid "$gid" --clear-groups)
    command -v setpriv >/dev/null || complain 'root needs setpriv (util-linux) to run PostgreSQL as another user'
fi

child=''
finish() {
    trap '' INT TERM HUP
    # The command first, so that nothing starts another server, then every server in the directory.
    if [ -n "$child" ]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    local pidfile
    for pidfile in "$dir"/*/postmaster.pid; do
        [ -e "$pidfile" ] || continue
        kill -CONT "$(head -n 1 "$pidfile")" 2>/dev/null || true
        ${as[@]+"${as[@]}"} "$bin/pg_ctl" stop -D "$(dirname "$pidfile")" -m immediate -t 10 >/dev/null 2>&1 || true
    done
    rm -rf "$dir"
}
# The server's user must be able to enter the directory, and a socket's path has at most 107 bytes. Where
# TMPDIR is not made for that, /tmp is.
base=${TMPDIR:-/tmp}
if [ ${#base} -gt 40 ] || ! ${as[@]+"${as[@]}"} test -x "$base"; then
    base=/tmp
fi
dir=$(mktemp -d "$base/tenant-billing-postgres.XXXXXX")
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ -n "$uid" ]; then
    chown "$uid:$gid" "$dir"
    # Programs in a directory that this user may not enter, such as root's own, are copied to where it may.
    if ! "${as[@]}" test -x "$bin/postgres"; then
        cp -R "$(dirname "$bin")" "$dir/programs"
        chown -R "$uid:$gid" "$dir/programs"
        bin=$dir/programs/bin
    fi
fi

# What a crash of the machine would lose is not what is tested, so nothing waits for its disk.
${as[@]+"${as[@]}"} "$bin/initdb" -D "$dir/main" -U postgres -E UTF8 --locale=C --no-sync \
    --auth-local=trust --auth-host=reject >"$dir/log" 2>&1 || { cat "$dir/log" >&2; complain 'initdb failed'; }
cat >>"$dir/main/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
max_connections = 200
fsync = off
full_page_writes = off
CONF
${as[@]+"${as[@]}"} "$bin/pg_ctl" start -D "$dir/main" -l "$dir/main.log" -w -t 60 >/dev/null ||
    { cat "$dir/main.log" >&2; complain 'PostgreSQL does not start'; }

export TEST_POSTGRES_URL="postgres://postgres@/postgres?host=$dir"
export TEST_POSTGRES_DIR=$dir TEST_POSTGRES_BIN=$bin TEST_POSTGRES_UID=$uid TEST_POSTGRES_GID=$gid

# Beside this script, which waits for it and tidies up when it is interrupted; and a group of its own
# (that is what -m is for), so that nothing that it started is left either.
set -m
"$@" &
child=$!
set +m
status=0
wait "$child" || status=$?
child=''
exit "$status"
