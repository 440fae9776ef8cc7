#!/usr/bin/env bash
# Installs the pinned official stripe-node and stripe-python that the sandbox is tested with, each by
# its ordinary client, and prints where they are. Does nothing if they are there already. With
# STRIPE_SDKS set they go there, else below the target directory, where the tests look for them.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=crates/stripe-sandbox/tests/sdk
sdks=${STRIPE_SDKS:-${CARGO_TARGET_DIR:-target}/stripe-sdks}
mkdir -p "$sdks"
sdks=$(cd "$sdks" && pwd)

complete() { command -v node && command -v npm && python3 -m pip --version; } >/dev/null 2>&1
complete || scripts/install-packages.sh \
    apt='nodejs npm python3 python3-pip' dnf='nodejs npm python3 python3-pip' \
    apk='nodejs npm python3 py3-pip' brew='node python' || true
complete || {
    echo "error: the sandbox is tested with Stripe's SDKs; install Node with npm, and Python with pip" >&2
    exit 1
}

# is_current DIRECTORY FILE: what is in DIRECTORY was installed as FILE says.
is_current() { cmp -s "$wanted/$2" "$1/installed-$2"; }

# install DIRECTORY FILE COMMAND…: installs into an empty DIRECTORY, and notes what.
install() {
    local directory=$1 file=$2
    shift 2
    is_current "$directory" "$file" && return
    rm -rf "$directory"
    mkdir -p "$directory"
    cp "$wanted/$file" "$directory/"
    if ! "$@" >"$directory/log" 2>&1; then
        cat "$directory/log" >&2
        echo "error: cannot install what $wanted/$file names; without it the sandbox cannot be tested" >&2
        exit 1
    fi
    mv "$directory/$file" "$directory/installed-$file"
    # Scripts are run in DIRECTORY; Node reads there that they are modules.
    [ "$file" != package.json ] || cp "$wanted/$file" "$directory/"
}

install "$sdks/node" package.json \
    npm install --prefix "$sdks/node" --no-package-lock --no-audit --no-fund --ignore-scripts
install "$sdks/python" requirements.txt \
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$sdks/python" \
    --requirement "$wanted/requirements.txt"

echo "$sdks"
