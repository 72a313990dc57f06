#!/bin/bash
# info, map, measure and check say the same words as the original, with the same exit
# code, on every fixture; in JSON and for people.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
. "$TESTS/interop/alike.bash"
need_reference
scratch 700

say_it() {
    local f
    f=$(format_of "$1")
    alike info --output=json "$1"
    alike info "$1"
    alike info -f "$f" "$1"
    alike info --backing-chain "$1"
    alike info --backing-chain --output=json "$1"
    alike map --output=json -f "$f" "$1"
    alike map -f "$f" "$1"
    alike map --output=json -s 1M -l 20M -f "$f" "$1"
    alike measure --output=json -O qcow2 -f "$f" "$1"
    alike measure -O qcow2 -o cluster_size=4k,refcount_bits=1 -f "$f" "$1"
    alike measure -O raw -f "$f" "$1"
    alike check --output=json -f "$f" "$1"
    alike check -f "$f" "$1"
}

cd "$T"
materials
each say_it "$@"
finish
