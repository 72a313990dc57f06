#!/bin/bash
# What the original's tools wrote: the same words about it, the same bytes out of it.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qed/common.bash"
need_reference
scratch 500
cd "$T"
materials

both_ways() {
    looks qed "$1"
    reads qed "$1"
}

for options in cluster_size=64k cluster_size=4k cluster_size=4k,table_size=2 \
    cluster_size=4k,table_size=16 cluster_size=256k cluster_size=1M,table_size=2; do
    create qed -o $options image 64M
    scribble qed image
    both_ways image
done

create qed odd $((9 * 1048576 + 3 * 512))
io qed odd "write -P 7 0 100k" "write -P 8 9M 1536"
both_ways odd
create qed empty 64M
both_ways empty
create qed nothing 0
looks qed nothing
create qed huge 64T
io qed huge "write -P 1 0 64k" "write -P 2 40T 1M" "write -P 3 70368744112128 65536"
looks qed huge

# a chain over raw, qed and a shorter one
create raw base 64M
scribble raw base
create qed -b base -F raw middle
io qed middle "write -P 7 2M 1M" "write -z 51M 512k" "write -P 8 5M 512"
create qed -b middle -F qed -o cluster_size=4k top 70M
io qed top "write -P 9 3M 1M" "write -z 2M 4k" "write -P 9 69M 512"
for image in middle top; do both_ways $image; done
alike info --backing-chain top
create qed -b odd -F qed over 20M
io qed over "write -P 1 15M 1M"
both_ways over

# stopped in the middle of its work: what was allocated last is marked as to be checked
create qed killed 64M
"$REF_IO" -f qed -c "write -P 1 0 1M" -c "write -P 2 30M 1M" -c "sleep 60000" killed >/dev/null &
writer=$!
for _ in $(seq 100); do
    [ "$(stat -c %s killed)" -lt $((0x270000)) ] || break
    sleep 0.05
done
kill -9 $writer
wait $writer 2>/dev/null || true
[ "$(od -An -tu1 -j16 -N1 killed | tr -d ' ')" = 2 ] || fail "the mark is not there"
both_ways killed
finish
