#!/bin/sh
# Runs tests under ThreadSanitizer, with a standard library that it sees into. Fails when it reports
# anything, in a test or in a server that a test has started. Arguments pick tests by their names.
set -e
cd "$(dirname "$0")/.."

if ! rustup component list --toolchain nightly --installed 2>/dev/null | grep -q '^rust-src'; then
    echo 'make race needs nightly Rust with its sources: rustup toolchain install nightly -c rust-src' >&2
    exit 1
fi

host=$(rustc -vV | sed -n 's/^host: //p')
reports=${CARGO_TARGET_DIR:-$PWD/target}/race/reports
rm -rf "$reports"
mkdir -p "$reports"

export RUSTFLAGS=-Zsanitizer=thread
export CARGO_TARGET_DIR="${reports%/reports}" CARGO_PROFILE_DEV_DEBUG=1
export TSAN_OPTIONS="exitcode=66 log_path=$reports/report"
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}"

# Everything is ten times slower and takes many times the memory, so these would measure nothing.
skipped='memory trim::  limits:: slow behind:: merge:: churn crowd hanging waiting floods under_load
    stops_reading takes_nothing take_nothing'
set -- "$@" $(for name in $skipped; do echo "--skip $name"; done)

status=0
cargo +nightly test -Zbuild-std --target "$host" --lib --test server -- "$@" || status=$?
if ls "$reports"/report.* >/dev/null 2>&1; then
    cat "$reports"/report.*
    exit 66
fi
exit $status
