#!/usr/bin/env bash
# Installs packages with whatever package manager is here, if this user may:
#
#     scripts/install-packages.sh apt='postgresql' dnf='postgresql-server' apk='postgresql' brew='postgresql@17'
#
# Fails, with a word, where it may not, or where there is none that it knows.
set -euo pipefail

complain() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

may=()
if [ "$(id -u)" != 0 ] && ! command -v brew >/dev/null; then
    sudo -n true 2>/dev/null || complain 'this user may not install packages'
    may=(sudo -n)
fi
for manager in apt-get dnf apk brew; do
    command -v "$manager" >/dev/null || continue
    for choice in "$@"; do
        [ "${choice%%=*}" = "${manager%-get}" ] || continue
        read -ra packages <<<"${choice#*=}"
        echo "installing ${packages[*]}" >&2
        case $manager in
        apt-get)
            ${may[@]+"${may[@]}"} apt-get update -q >&2
            ${may[@]+"${may[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -qy "${packages[@]}" >&2
            ;;
        dnf) ${may[@]+"${may[@]}"} dnf install -qy "${packages[@]}" >&2 ;;
        apk) ${may[@]+"${may[@]}"} apk add -q "${packages[@]}" >&2 ;;
        brew) brew install -q "${packages[@]}" >&2 ;;
        esac
        exit 0
    done
done
complain 'no package manager is here that this script knows'
