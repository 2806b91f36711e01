#!/usr/bin/env bash
# Fuzzes targets, each for FUZZ_SECONDS, and prints what was run, reached and found. ARGS names some of
# the targets; FUZZ_JOBS run at a time. What was learned stays in target/fuzz/corpus, for the next run.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${FUZZ_SECONDS:-600}
jobs=${FUZZ_JOBS:-$(nproc)}
out=$PWD/target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
guided=$out/$host/release/guided
replay=$out/coverage/debug/replay
tools=$(dirname "$(rustc +nightly --print target-libdir 2>/dev/null || true)")/bin

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "make fuzz needs a nightly toolchain and cargo-fuzz: rustup toolchain install nightly -c llvm-tools; cargo install cargo-fuzz" >&2
    exit 1
fi

# Runs a target and writes its row of the table.
fuzz() {
    local name=$1 corpus=$out/corpus/$1 log=$out/log/$1
    mkdir -p "$corpus" "$out/findings/$name" "$out/row"
    "$replay" seeds "$name" "$corpus"
    local TIMEFORMAT='%U %S' status=0
    { time FUZZ_TARGET=$name "$guided" "$corpus" -artifact_prefix="$out/findings/$name/" \
        -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=1024 \
        -print_final_stats=1 >"$log" 2>&1 || status=$?; } 2>"$log.time"
    local runs edges cpu
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(grep -ao 'cov: [0-9]*' "$log" | tail -n 1 | tr -dc 0-9)
    cpu=$(tail -n 1 "$log.time" | awk '{ printf "%.0f", $1 + $2 }')
    local found=none
    [ "$status" = 0 ] || found=$(grep -ao 'target/fuzz/findings/.*' "$log" | tail -n 1)
    printf '| %s | %s | %s | %s | %s | %s |\n' "$name" "${runs:-0}" "${cpu:-0}" "${edges:-0}" \
        "$(coverage "$name")" "${found:-see $log}" >"$out/row/$name"
}

# How much of the lines of a target's files its corpus reaches.
coverage() {
    local name=$1 profile=$out/coverage/$1 files
    [ -x "$tools/llvm-cov" ] || { echo "no llvm-tools"; return; }
    rm -f "$profile".*.profraw
    LLVM_PROFILE_FILE="$profile.%p.profraw" "$replay" run "$name" "$out/corpus/$name" >/dev/null 2>&1 || true
    "$tools/llvm-profdata" merge -sparse "$profile".*.profraw -o "$profile.profdata"
    rm -f "$profile".*.profraw
    files=$("$replay" files "$name" | sed "s|^|$PWD/src/|")
    # shellcheck disable=SC2086 # several files
    "$tools/llvm-cov" report "$replay" -instr-profile="$profile.profdata" -sources $files |
        awk '/^TOTAL/ { printf "%d of %d (%s)", $8 - $9, $8, $10 }'
}

cargo +nightly fuzz build --fuzz-dir tests/fuzz --sanitizer none --target-dir "$out" guided
RUSTFLAGS='-C instrument-coverage' LLVM_PROFILE_FILE="$out/coverage/build.profraw" \
    cargo +nightly build --no-default-features --manifest-path tests/fuzz/Cargo.toml --target-dir "$out/coverage" --bin replay
export LLVM_PROFILE_FILE=$out/coverage/other.profraw

mkdir -p "$out/log"
rm -rf "$out/row"
read -ra targets <<<"${*:-$("$replay" list | tr '\n' ' ')}"
export -f fuzz coverage
export out seconds guided replay tools
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I {} bash -euo pipefail -c 'fuzz {}'

echo "| target | executions | CPU seconds | edges | lines of its files | found |"
echo "|---|---|---|---|---|---|"
for name in "${targets[@]}"; do cat "$out/row/$name"; done
! grep -hv '| none |$' "$out"/row/* >/dev/null
