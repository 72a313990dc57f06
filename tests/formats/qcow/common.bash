# Sourced by the tests of qcow.
# shellcheck shell=bash
. "$TESTS/formats/pair.bash"

# big FILE OFFSET VALUE: 8 bytes, big-endian.
big() {
    patch_bytes "$1" "$2" "$(perl -e 'print unpack("H*", pack("Q>", hex $ARGV[0]))' "$3")"
}

# packed_by_original SOURCE OUT: 7.2 says exit 1 without a word when all is written.
packed_by_original() {
    "$REF" convert -c -f raw -O qcow "$1" "$2" || true
    "$REF" compare -q -f raw -F qcow "$1" "$2" || skip "the original does not write packed qcow"
}

# A small image of which the places are known: L1 at 30, the first L2 at 1000, block 0 at 2000.
small() {
    create qcow "$1" 64M
    io qcow "$1" "write -P 1 0 20k" "write -P 2 6M 4k" "write -P 4 1M 64k"
    [ "$(be "$1" $((0x1000)) 8)" = $((0x2000)) ] || skip "the original places clusters otherwise"
}
