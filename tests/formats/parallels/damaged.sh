#!/bin/bash
# parallels, damaged: check says what the original says; -r repairs what it repairs, in its words,
# and leaves an image without fault whose good clusters read as before. Then what later versions
# repair, and what no check is needed for: headers and extensions that are refused.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/interop/alike.bash"
need_reference
need perl
scratch 200
cd "$T"

"$REF" create -q -f parallels good 10M
"$REF_IO" -f parallels -c "write -P 1 4M 64k" -c "write -P 2 0 3M" good >/dev/null

# repaired HOW: both repair a copy of `bad`; the same words, and no fault left. What the original
# does to a file's length when it opens it is left out.
repaired() {
    local rc_ref=0
    cp bad theirs
    "$REF" check -r "$1" -f parallels theirs >theirs.out 2>theirs.err || rc_ref=$?
    cp bad theirs
    try "$IMG" check -r "$1" -f parallels theirs
    checked
    sed -i 's/^[a-z-]*img: //; /Format Extension ignored/d' theirs.err .err
    [ $rc = $rc_ref ] || bad "-r $1: exit $rc, not $rc_ref: $story"
    diff -u theirs.out .out >diff || differs "counts of -r $1" "$story"
    diff -u theirs.err .err >diff || differs "lines of -r $1" "$story"
    [ "$1" != all ] || [ $rc != 0 ] || "$REF" check -q -f parallels theirs ||
        bad "the original finds fault after -r all: $story"
}

reads() { # every reading subcommand on `bad`: no crash, one line
    local args
    for args in "info bad" "map --output=json bad" "convert -f parallels -O raw bad out"; do
        # shellcheck disable=SC2086  # words
        try timeout -k 5 20 "$IMG" $args
        checked
        if [ $rc -gt 4 ] || grep -qE 'Sanitizer|runtime error' .err; then
            bad "exit $rc: $args: $story: $(tail -n 3 .err)"
        elif [ $rc = 1 ] && [ "$(grep -c '^[a-z-]*img: ' .err)" != 1 ]; then
            bad "not one line: $args: $story: $(cat .err)"
        fi
        rm -f out
    done
}

complain() { # nothing but a look at `bad`
    reads
    alike info -f parallels bad
    alike check -f parallels bad
    alike check --output=json -f parallels bad
}

damage() { # [OFFSET HEX]...
    story=$*
    cp good bad
    while [ $# -gt 0 ]; do
        patch_bytes bad "$1" "$2"
        shift 2
    done
}

# -- what both repair --------------------------------------------------------------------------------

for what in "0x40 05000000" "0x44 00000000 0x50 00000000" "0x40 00000000" "44 596e6f74" \
    "44 596e6f74 0x40 ffffffff" "0x40 00000080 0x50 00000070" "0x44 02000000 0x40 03000000" \
    "28 00040000" "44 312e3276" "52 01000000" "24 00000000" "20 00000000"; do
    # shellcheck disable=SC2086
    damage $what
    complain
    repaired leaks
    repaired all
done
for length in 5242879 5000000 4194304 3000000 1048576 1000000 5242881 6000000 9437184; do
    story="length $length"
    cp good bad
    truncate -s $length bad
    complain
    repaired leaks
    repaired all
done

# -- what only a look is for -------------------------------------------------------------------------

for what in "0 00" "16 01" "16 03" "28 00000000" "28 01000000" "28 00000080" "28 ffffffff" \
    "28 ffff3f00" "32 00000000" "32 09000000" "32 0b000000" "32 ffffffff" "32 00000020" \
    "36 00000000" "36 0100000000000000" "36 ffffffffffffffff" "36 ffffffffffffff00" "56 01" \
    "0x44 02000000" "48 00000000" "48 00030000" "48 ffffffff"; do
    # shellcheck disable=SC2086
    damage $what
    complain
done
for length in 0 1 16 20 44 63 64 65 100; do
    story="cut at $length"
    head -c $length good >bad
    reads
done
patch_bytes good 44 596e6f74
try "$IMG" convert -n -f raw -O parallels /dev/null good
checked
grep -q "Image was not closed correctly; cannot be opened read/write" .err ||
    bad "written into while in use: $(cat .err)"
patch_bytes good 44 00000000

# -- what later versions repair ----------------------------------------------------------------------

if ! is_reference; then
    "$REF" convert -f parallels -O raw good raw
    dd if=raw of=raw bs=1M skip=1 seek=3 count=1 conv=notrunc status=none
    damage 0x4c 03000000 48 00000000 # entries 1 and 3 share a cluster; no data_off
    good "$IMG" check -q -f parallels bad
    try "$IMG" check -r all -f parallels bad
    checked
    [ $rc = 0 ] && grep -qx "    2 corruptions" .out || bad "not repaired: $(cat .out .err)"
    [ "$(be bad 0x4c 1)" = 5 ] || bad "the entry was not parted"
    "$REF" check -q bad || bad "the original finds fault with the repaired image"
    "$REF" compare -q -f parallels -F raw bad raw || bad "the repaired image reads wrong"
    "$REF_IO" -f parallels -c "write -P 9 3M 1M" bad >/dev/null
    "$REF_IO" -f parallels -c "read -P 2 1M 1M" bad | grep -q "verification failed" &&
        bad "they still share it"
fi

# -- the Format Extension ----------------------------------------------------------------------------

# extended FEATURES: a cluster of them behind the data
extended() {
    story="extension $1"
    cp good bad
    truncate -s 6M bad
    perl -MDigest::MD5=md5 -e '
        my $body = pack("H*", $ARGV[1]); $body .= "\0" x (1048576 - 24 - length($body));
        open(my $f, "+<:raw", $ARGV[0]) or die; seek($f, 5242880, 0);
        print $f pack("Q<", 0xab234cef23dcea87) . md5($body) . $body;
        seek($f, 56, 0); print $f pack("Q<", 10240)' bad "$1"
    complain
    repaired leaks
    repaired all
}
if perl -MDigest::MD5 -e 1 2>/dev/null; then
    bitmap=1112131415161718191a1b1c1d1e1f2000080000010000000100000000000000
    extended 00
    extended 1111111111111111
    extended 111111111111111101
    extended 111111111111111100000000000000000800000000000000
    extended 11111111111111110000000000000000ffffff7f
    extended 4ab32c25ae5f38200000000000000000280000000000000000500000000000000$bitmap
    extended 4ab32c25ae5f3820000000000000000028000000000000000050000000000000$bitmap
    extended 4ab32c25ae5f3820000000000000000008000000000000000050000000000000$bitmap
    patch_bytes bad 5243000 01
    complain
    patch_bytes bad 5242880 00
    complain
fi
finish
