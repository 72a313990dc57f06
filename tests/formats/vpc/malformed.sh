#!/bin/bash
# vpc, damaged: the original's words where it refuses too; in any case one line, no crash, an end.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/interop/alike.bash"
need_reference
need perl
scratch 100
cd "$T"

# sum FILE OFFSET LENGTH FIELD: the checksum that belongs there
sum() {
    perl -e '
        my ($n, $o, $l, $at) = @ARGV; open(my $f, "+<", $n) or die; seek($f, $o, 0);
        read($f, my $b, $l); substr($b, $at, 4) = "\0" x 4; my $s = 0; $s += $_ for unpack("C*", $b);
        seek($f, $o + $at, 0); print $f pack("N", ~$s & 0xffffffff)' "$@"
}

# survive: every reading subcommand on `bad`
survive() {
    local args
    for args in "info bad" "map --output=json bad" "convert -f vpc -O raw bad out" \
        "compare -f vpc -F vpc bad good"; do
        # shellcheck disable=SC2086  # words
        try timeout -k 5 20 "$IMG" $args
        checked
        if [ $rc -gt 4 ] || grep -qE 'Sanitizer|runtime error' .err; then
            bad "exit $rc: $args: $1: $(tail -n 3 .err)"
        elif [ $rc != 0 ] && [ -s .err ] && [ "$(grep -c '^[a-z-]*img: ' .err)" != 1 ]; then
            bad "not one line: $args: $1: $(cat .err)"
        fi
        rm -f out
    done
}

damage() { # [OFFSET HEX]...: with checksums that are right again
    local story=$*
    cp good bad
    while [ $# -gt 0 ]; do
        patch_bytes bad "$1" "$2"
        shift 2
    done
    sum bad 0 512 64
    sum bad 512 1024 36
    survive "$story"
}

refuse() { # the same, and the original refuses in the same words
    damage "$@"
    alike info -f vpc bad
    alike map -f vpc bad
}

"$REF" create -q -f vpc good 10M
"$REF_IO" -f vpc -c "write -P 1 4M 64k" -c "write -P 2 0 3M" good >/dev/null

refuse 16 0000000000000400
refuse 16 ffffffffffffffff
refuse 16 0000000000000001
refuse 56 ffffffff
refuse 56 002e04ff
refuse 48 0100000000000000 56 ffff10ff
refuse 48 000001fe00000200 56 ffff10ff
refuse 512 00
refuse 528 0000000001000000
refuse 528 ffffffffffffffff
refuse 540 00000000
refuse 540 00000005
refuse 540 10000000
refuse 540 ffffffff
for size in 00000000 00000100 00000200 00000300 00010000 00100000 40000000 80000000; do
    refuse 544 $size
done
for entry in 00000000 00000001 00003004 7fffffff fffffffe; do
    damage 1536 $entry
done
for type in 00000000 00000001 00000002 00000004 00000005 ffffffff; do
    damage 60 $type
done
for at in 48 56 528 540 544; do
    for value in 00000000 00000001 7fffffff 80000000 ffffffff; do
        damage $at $value
        damage 60 00000004 $at $value 576 5732727500000200ffffffff00000000ffffffffffffff00
    done
done

# footers: one is enough where the other is damaged
size=$(stat -c %s good)
cp good bad
patch_bytes bad 40 ff
good "$IMG" info -f vpc bad
good "$IMG" compare -f vpc -F vpc good bad
patch_bytes bad $((size - 512 + 40)) ff
alike info -f vpc bad
patch_bytes bad 0 00
patch_bytes bad $((size - 512)) 00
alike info -f vpc bad
for length in 511 512 513 1024 1535 1536 2000 2560 6294000; do
    head -c $length good >bad
    survive "cut at $length"
done
finish
