#!/bin/sh
# Which lines of the core its own fast tests do not reach, by file, and each of them by number.
#
# Needs llvm-profdata and llvm-cov, of rustc's LLVM or a newer one: `rustup component add llvm-tools`, or a package such
# as llvm-22, whose directory LLVM_BIN then names.
set -eu
cd "$(dirname "$0")/.."

bin=${LLVM_BIN:-$(dirname "$(find "$(rustc --print sysroot)" -name llvm-cov -o -name llvm-cov.exe | head -n 1)")}
export CARGO_TARGET_DIR=target-coverage
export RUSTFLAGS="-C instrument-coverage"
profiles=$PWD/target-coverage/profiles
rm -rf "$profiles"

LLVM_PROFILE_FILE=$profiles/%p.profraw cargo test -p tenant-billing-core --profile mutants --test it
"$bin/llvm-profdata" merge -sparse "$profiles"/*.profraw -o "$profiles/all"

# The newest of the test's binaries is the one that has just run.
tests=$(ls -t target-coverage/mutants/deps/it-* | grep -v '\.d$' | head -n 1)
"$bin/llvm-cov" report "$tests" -instr-profile "$profiles/all" --sources crates/tenant-billing-core/src
"$bin/llvm-cov" export "$tests" -format lcov -instr-profile "$profiles/all" --sources crates/tenant-billing-core/src |
    awk -F '[:,]' '/^SF/ { file = $2 } /^DA/ && $3 == 0 { print file ":" $2 " is not reached" }'
