#!/usr/bin/env bash
# Instructions per segment of the engine, counted by callgrind: they do not depend on the machine's noise.
# From anywhere in the repository: crates/bench/callgrind.sh [BATCHES]
set -euo pipefail

batches=${1:-2000}
cargo build --release --quiet -p millstream-bench
target=$(cargo metadata --format-version 1 --no-deps | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Instructions and segments of `count` batches.
count() {
    valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
        "$target/release/millstream-bench" instructions "$1" "$2" \
        >"$scratch/segments" 2>"$scratch/log"
    instructions=$(sed -nE 's/.*Collected : ([0-9]+).*/\1/p' "$scratch/log")
    segments=$(cat "$scratch/segments")
}

# What twice as many batches cost more: without start and end of the program.
per_segment() {
    count "$1" "$batches"
    local some=$instructions few=$segments
    count "$1" $((2 * batches))
    echo $(((instructions - some) / (segments - few)))
}

rx_data=$(per_segment rx-data)
tx_data=$(per_segment tx-data)
both=$(per_segment tx-data-rx-acks)
printf 'rx data  %6d instructions a segment\n' "$rx_data"
printf 'tx data  %6d\n' "$tx_data"
# One acknowledgment of each batch of eight is in both.
printf 'rx ack   %6d\n' $(((both - tx_data) * 8 / 7))
