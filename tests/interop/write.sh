#!/bin/bash
# What we write, the original finds clean and equal, and other readers of qcow2 read too.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
need_reference
scratch 900

seven=$(command -v 7zz || command -v 7z || true)
[ -n "$seven" ] || echo "note: no 7zz, its reading is not tried"

# judge NAME IMAGE: the original's verdict on our image against source.
judge() {
    checked
    "$REF" check -q -f qcow2 "$2" || bad "$1: check finds fault"
    "$REF" compare -q -f raw -F qcow2 source "$2" || bad "$1: compare finds a difference"
}

# The same options through the original: what info says of both must agree, but for sizes on disk.
facts() {
    "$REF" info -f qcow2 --output=json "$1" | grep -vE '"(actual-size|filename|full-backing-filename|data-file)"'
}
same_facts() {
    facts "$2" >facts.ours
    facts "$3" >facts.theirs
    diff -u facts.theirs facts.ours || bad "$1: info differs"
}

# write_as NAME ARGS...: convert source to qcow2 with ARGS, ours and theirs.
write_as() {
    local name=$1
    shift
    good "$IMG" convert -f raw -O qcow2 "$@" source ours || return 0
    "$REF" convert -f raw -O qcow2 "$@" source theirs
    judge "$name" ours
    same_facts "$name" ours theirs
    case $name in *zstd* | *extended*) return 0 ;; esac
    [ -n "$seven" ] || return 0
    "$seven" e -so -tqcow ours >unpacked 2>/dev/null || bad "$name: 7zz cannot read it"
    cmp source unpacked || bad "$name: 7zz reads otherwise"
}

cd "$T"
materials
create raw source $((64 * 1048576 + 3 * 512))
scribble raw source

write_as plain
for size in 512 1k 2k 4k 8k 16k 32k 64k 128k 256k 512k 1M 2M; do
    write_as "cluster $size" -o "cluster_size=$size"
done
for size in 512 4k 2M; do
    write_as "packed, cluster $size" -c -o "cluster_size=$size"
    write_as "packed zstd, cluster $size" -c -o "compression_type=zstd,cluster_size=$size"
done
for bits in 1 2 4 8 16 32 64; do
    write_as "refcount $bits" -o "refcount_bits=$bits,cluster_size=4k"
    write_as "refcount $bits, packed" -c -o "refcount_bits=$bits,cluster_size=4k"
done
write_as "version 2" -o compat=0.10
write_as "version 2, packed" -c -o compat=0.10
write_as packed -c
write_as "packed zstd" -c -o compression_type=zstd
write_as lazy -o lazy_refcounts=on
for how in metadata falloc full; do
    write_as "preallocation $how" -o "preallocation=$how"
done
write_as "-S 0" -S 0
write_as "-S 64k" -S 64k
write_as "-W -m 16" -W -m 16
write_as "extended" -o extended_l2=on
write_as "extended, packed" -c -o extended_l2=on
finish
