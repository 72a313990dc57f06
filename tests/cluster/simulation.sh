#!/bin/bash
# The simulation of many ranks (tests/bench/simulate.c), where its answer is known: one rank is
# 100 %; few ranks do nearly as well; many come to the ceiling that follows from rank 0's costs, and
# parcels lift it; storage that all share bounds all.
. "$(dirname "$0")/../lib.sh"
need_ours
SIMULATE=$BUILD/bench_simulate
[ -x "$SIMULATE" ] || skip "bench_simulate is not built"
scratch 10
cd "$T"

# column RANKS COLUMN: of the table in `out` (3: GB/s, 4: percent)
column() {
    awk -v n="$1" -v c="$2" '$2 == n { print $c }' out
}

# between WHAT VALUE LOW HIGH
between() {
    checked
    awk -v v="$2" -v low="$3" -v high="$4" 'BEGIN { exit !(v != "" && v >= low && v <= high) }' ||
        bad "$1: ${2:-nothing}, should be between $3 and $4"
}

simulate() {
    "$SIMULATE" "$@" >out || bad "exit $?: $*"
    checked
}

simulate -n 64 -c 4 -t 8 -o curves.svg
between "one rank" "$(column 1 4)" 100 100
between "one rank's rate" "$(column 1 3)" 0.97 1.01
between "two ranks" "$(column 2 4)" 97 101
between "64 ranks" "$(column 64 4)" 90 101
checked
[ "$(grep -c '<polyline' curves.svg)" = 1 ] && [ "$(grep -c '<circle' curves.svg)" = 7 ] &&
    [ "$(tail -n 1 curves.svg)" = "</svg>" ] || bad "the drawing is not what it should be"

# the ceiling: 20 us a chunk of 1 MiB are 52 GB/s; one more each for three or four messages
simulate -n 256 -c 1 -t 8 -u 20 -b 0 -m 0
between "the ceiling" "$(column 256 3)" 42 52.5
simulate -n 256 -c 1 -t 8 -u 1 -b 0 -m 10 -P
between "the ceiling of messages one by one" "$(column 256 3)" 23 27
simulate -n 256 -c 1 -t 8 -u 1 -b 0 -m 10
between "that of parcels" "$(column 256 3)" 50 1000

# 16 GB/s in all: 32 ranks have half a GB/s each
simulate -n 32 -c 4 -t 8 -S 16
between "shared storage" "$(column 32 3)" 14.5 16.2
between "shared storage, efficiency" "$(column 32 4)" 45 51
finish
