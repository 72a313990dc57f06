# Sourced by the tests of this folder.
# shellcheck shell=bash
. "$TESTS/interop/fixtures.bash"
. "$TESTS/interop/alike.bash"
VHDX_PL=$TESTS/formats/vhdx/vhdx.pl

vhdx() {
    perl "$VHDX_PL" "$@"
}

# le FILE OFFSET BYTES: an unsigned little-endian number out of a file.
le() {
    perl -e '
        open(my $f, "<", $ARGV[0]) or die; seek($f, $ARGV[1], 0); read($f, my $b, $ARGV[2]);
        my $v = 0; $v = $v * 256 + $_ for reverse unpack("C*", $b); printf "%u\n", $v' "$1" "$(($2))" "$3"
}

# put_le64 FILE OFFSET VALUE
put_le64() {
    perl -e '
        open(my $f, "+<", $ARGV[0]) or die; seek($f, $ARGV[1], 0);
        print $f pack("Q<", $ARGV[2] =~ /^0x/ ? hex $ARGV[2] : $ARGV[2])' "$1" "$(($2))" "$3"
}

# refused WORDS COMMAND...: exit 1 and one line of error.
refused() {
    local what=$1
    shift
    try timeout 30 "$IMG" "$@"
    checked
    [ $rc = 1 ] || bad "$what: exit $rc: $*"
    [ "$(grep -cv "^The unfinished output" "$T/.err")" = 1 ] || { bad "$what: not one line of error: $*"; head -n 5 "$T/.err" >&2; }
    if grep -qE 'Sanitizer|runtime error|Assertion' "$T/.err"; then
        bad "$what: $*"
    fi
}

seven=$(command -v 7zz || command -v 7z || true)
[ -n "$seven" ] || echo "note: no 7zz, its reading is not tried"
