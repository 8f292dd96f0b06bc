#!/usr/bin/env bash
# Prints the engine's instructions per segment, counted by callgrind: unlike times, they do not depend on the machine's
# load. Usage, from any directory of the repository: crates/bench/callgrind.sh [BATCHES]
set -euo pipefail

batches=${1:-2000}
cargo build --release --quiet -p millstream-bench
target=$(cargo metadata --format-version 1 --no-deps | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Counts the instructions and segments of `$2` batches on the path `$1`.
count() {
    valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
        "$target/release/millstream-bench" instructions "$1" "$2" \
        >"$scratch/segments" 2>"$scratch/log"
    instructions=$(sed -nE 's/.*Collected : ([0-9]+).*/\1/p' "$scratch/log")
    segments=$(cat "$scratch/segments")
}

# The difference between twice as many batches and the batches excludes the start and end of the program.
per_segment() {
    count "$1" "$batches"
    local some=$instructions few=$segments
    count "$1" $((2 * batches))
    echo $(((instructions - some) / (segments - few)))
}

rx_data=$(per_segment rx-data)
tx_data=$(per_segment tx-data)
both=$(per_segment tx-data-rx-acks)
printf 'rx data  %6d instructions per segment\n' "$rx_data"
printf 'tx data  %6d\n' "$tx_data"
# The batches of eight segments have one acknowledgment on the one path and eight on the other.
printf 'rx ack   %6d\n' $(((both - tx_data) * 8 / 7))
