#!/bin/bash
# dd's part of an image: the same bytes on any engine, wherever the part begins and ends.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_mpi
scratch 700
guest "$T/guest"

# part FORMAT FROM TO ARGS...: dd with ARGS on every engine gives bytes [FROM, TO) of the guest
part() {
    local format=$1 from=$2 to=$3 engine first= hash
    shift 3
    head -c "$to" "$T/guest" | tail -c +$((from + 1)) >"$T/want"
    truncate -s %512 "$T/want"
    for engine in "${engines[@]}"; do
        good on "$engine" dd -O "$format" "$@" of="$T/out" || continue
        hash=$(hash_of "$T/out")
        : "${first:=$hash}"
        [ "$hash" = "$first" ] || bad "$format $*: $engine differs from ${engines[0]}"
    done
    checked
    "$IMG" compare -q -f raw -F "$format" "$T/want" "$T/out" || bad "$format $*: not that part"
    rm -f "$T/out"
}

size=$(stat -c %s "$T/guest")
for format in raw qcow2 vmdk; do
    part $format 0 "$size" -f raw if="$T/guest"
    part $format 1000000 45000000 -f raw bs=1M bs=1000000 skip=1 count=45 if="$T/guest"
    part $format $((7 * 777)) $((70000 * 777)) -f raw bs=777 skip=7 count=70000 if="$T/guest"
done
"$IMG" convert -f raw -O qcow2 -c -o cluster_size=4k "$T/guest" "$T/packed"
part qcow2 3000 60003000 -f qcow2 bs=3000 skip=1 count=20001 if="$T/packed"
finish
