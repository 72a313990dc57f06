# Sourced by the tests of qed.
# shellcheck shell=bash
. "$TESTS/formats/pair.bash"

# le FILE OFFSET VALUE: 8 bytes, little-endian, as check.sh and malformed.sh patch them.
le() {
    patch_bytes "$1" "$2" "$(perl -e 'print unpack("H*", pack("Q<", hex $ARGV[0]))' "$3")"
}

# A small image of which the places are known: L1 at 1000; L2 at 8000 (of it block 0 at 3000, and so
# on), b000 (block 200 at a000), d000 (zeros), 10000 (block 0 at f000); 12000 and on: from 1 MiB.
small() {
    create qed -o cluster_size=4k,table_size=2 "$1" 64M
    io qed "$1" "write -P 1 0 20k" "write -P 2 6M 4k" "write -z 8M 64k" "write -P 3 40M 512" \
        "write -P 4 1M 64k"
    [ "$(stat -c %s "$1")" = $((0x22000)) ] || skip "the original places clusters otherwise"
}
