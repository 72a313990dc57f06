#!/bin/bash
# Damaged and hostile images: whatever a header, a table or a line says, there is one error line or
# the disk is read; no crash, no endless run.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vmdk/same.bash"
need_ours
need perl
scratch 100
cd "$T"

build sparse sparse.vmdk sparse.raw size=4000 zero=1 flags=5
build stream stream.vmdk stream.raw size=4000 zero=1 flags=196613
build cowd cowd.vmdk cowd.raw size=4000
build sesparse sesparse.vmdk sesparse.raw size=4000 zero=1

# survive NAME IMAGE: every subcommand that reads
survive() {
    local args
    for args in "info -f vmdk --output=json $2" "check -f vmdk $2" "convert -f vmdk -O raw $2 out" \
        "map --output=json -f vmdk $2"; do
        # shellcheck disable=SC2086  # words
        try timeout -k 5 20 "$IMG" $args
        checked
        case $rc in
        0) ;;
        1) [ "$(grep -c '^mpi-img: ' "$T/.err")" = 1 ] || bad "$1: no single error line: $args: $(head -c 500 "$T/.err")" ;;
        *) bad "$1: exit $rc: $args: $(tail -n 3 "$T/.err")" ;;
        esac
        ! grep -qE 'Sanitizer|runtime error|Assertion' "$T/.err" || {
            bad "$1: $args"
            head -n 12 "$T/.err" >&2
        }
        rm -f out
    done
}

# damage IMAGE OFFSET HEX: patched there, opened as what it is
damage() {
    local image=bad.vmdk
    cp "$1.vmdk" bad.vmdk
    patch_bytes bad.vmdk "$2" "$3"
    if [ -e "$1.vmdk.desc" ]; then
        sed "s/$1.vmdk/bad.vmdk/" "$1.vmdk.desc" >bad.desc
        image=bad.desc
    fi
    survive "$1 at $(($2)) = $3" $image
}

# refuse TEXT IMAGE OFFSET HEX: ... and refused in these words
refuse() {
    damage "$2" "$3" "$4"
    [ ! -e "$2.vmdk.desc" ] || set -- "$1" bad.desc
    try "$IMG" info -f vmdk "$([ "$2" = bad.desc ] && echo bad.desc || echo bad.vmdk)"
    checked
    grep -qF ": $1" "$T/.err" || bad "not '$1': $(cat "$T/.err")"
}

max=ffffffffffffffff
refuse 'Unsupported VMDK version 4' sparse 4 04000000
refuse 'L1 entry size is invalid' sparse 20 0000000000000000
refuse 'L1 entry size is invalid' sparse 44 00000000
refuse 'L2 table size too big' sparse 44 01020000
refuse 'Invalid granularity, image may be corrupt' sparse 20 0100200000000000
refuse 'Invalid granularity, image may be corrupt' sparse 20 $max
refuse 'L1 size too big' sparse 12 0000000000040000
refuse 'L1 size too big' sparse 12 $max
refuse 'Could not refresh total sector count: File too large' sparse 12 ffffffffffff7f000000200000000000
refuse 'File truncated, expecting at least 2190433320960 bytes' sparse 64 000000ff00000000
refuse 'File truncated' sparse 64 $max
refuse 'Could not read l1 table from extent' sparse 56 ffffffffffffff7f
refuse 'Could not read l1 table from extent' sparse 56 ffffff0000000000
refuse 'Invalid footer' sparse 56 $max
refuse 'invalid VMDK image descriptor' sparse 576 78

refuse 'The file is an extent without a descriptor' sparse 512 00
end=$(stat -c %s stream.vmdk)
refuse 'Invalid footer' stream $((end - 1024)) 00
refuse 'Invalid footer' stream $((end - 1536 + 8)) 01
refuse 'Invalid footer' stream $((end - 1536 + 12)) 02
refuse 'Invalid footer' stream $((end - 512)) 01
refuse 'Unsupported VMDK version 5' stream $((end - 1020)) 05
refuse 'Could not read l1 table from extent' stream $((end - 1024 + 56)) $max
refuse 'Invalid granularity' cowd 16 ffffffff
refuse 'L1 entry size is invalid' cowd 16 00000000
refuse 'L1 size too small' cowd 24 00000000
refuse 'Could not read l1 table' cowd 20 ffffffff
refuse 'Bad const header magic: 0x00000000cafebabf' sesparse 0 bf
refuse 'Unsupported version: 0x0000000200000002' sesparse 8 02
refuse 'Unsupported grain size: 16' sesparse 24 10
refuse 'Unsupported grain table size: 32' sesparse 32 20
refuse 'Unsupported flags: 0x0000000000000001' sesparse 40 01
refuse 'Unsupported reserved bits: 0x0000000000000001' sesparse 48 01
refuse 'Unsupported non-zero const header padding' sesparse 400 01
refuse 'Bad volatile header magic' sesparse 512 00
refuse 'Image is dirty, Replaying journal not supported' sesparse 536 01
refuse 'Unsupported non-zero volatile header padding' sesparse 1000 01
refuse 'A place in the header of the extent is out of range' sesparse 128 $max
refuse 'L1 size too big' sesparse 16 $max

# every field of the headers, and entries of the tables
for image in sparse stream; do
    for at in 8 12 20 28 36 44 48 56 64 72 77; do
        for value in 0000000000000000 0100000000000000 $max; do damage $image $at $value; done
    done
done
for at in 4 8 12 16 20 24 28; do
    for value in 00000000 01000000 ffffffff ffffff7f; do damage cowd $at $value; done
done
for at in 16 80 128 144 192; do
    for value in 0000000000000000 0100000000000000 ffffffffffff0f00 $max; do damage sesparse $at $value; done
done
for value in 00000000 01000000 ffffffff 15000000; do
    damage sparse $((21 * 512)) $value # directory
    damage sparse $((22 * 512)) $value # table
    damage cowd $((4 * 512)) $value
    damage cowd $((5 * 512)) $value
done
for value in 0100000000000000 0000000000000040 ffffffffffffff3f 00000000000000f0 $max; do
    damage sesparse $((4096 * 512)) $value
    damage sesparse $((4097 * 512)) $value
done
# the first grain of the stream: marker, stream, an end too early
for value in 00000000 ffffffff; do damage stream $((65536 + 8)) $value; done
damage stream $((65536 + 12)) 0000
damage stream $((65536 + 60)) ffffffffffffffff
for length in 4 50 79 512 600 20000 70000 $((end - 512)); do
    head -c "$length" stream.vmdk >bad.vmdk
    survive "cut at $length" bad.vmdk
    head -c "$length" sparse.vmdk >bad.vmdk
    survive "sparse cut at $length" bad.vmdk
done

# descriptors
text() {
    printf '%b' "$2" >bad.vmdk
    survive "$1" bad.vmdk
    [ -z "${3:-}" ] || {
        try "$IMG" info -f vmdk bad.vmdk
        grep -qF "$3" "$T/.err" || bad "$1: not '$3': $(cat "$T/.err")"
    }
}
head='# Disk DescriptorFile\nversion=1\n' ids='CID=1\nparentCID=ffffffff\n' type='createType="monolithicFlat"\n'
text empty '' 'File is too small, not a valid image'
text word 'x' 'invalid VMDK image descriptor'
text no-type "$head$ids" 'invalid VMDK image descriptor'
text no-cid "$head$type" 'Invalid or missing CID'
text bad-cid "${head}CID=xyz\nparentCID=1\n$type" 'Invalid or missing CID'
text long-cid "${head}CID=123456789\nparentCID=1\n$type" 'Invalid or missing CID'
text no-parent "${head}CID=1\n$type" 'Invalid or missing parentCID'
text no-quote "$head${ids}createType=\"monolithicFlat\n" "Invalid value of 'createType'"
text long-parent "$head$ids${type}parentFileNameHint=\"$(printf 'x%.0s' {1..1100})\"\nRW 1 FLAT \"sparse.raw\" 0\n" \
    'The name of the parent is longer than 1023 bytes'
text quotes "$head$ids${type}RW 1 FLAT \"\"\"\"\" 0\n"
text half-line "$head$ids${type}RW 1 FLAT \"sparse.raw\n" 'Invalid extent line'
text nul "$head$ids$type\0RW 1 FLAT \"sparse.raw\" 0\n" 'names no extents'
perl -e 'print "version=1\n", "#" x 1100000' >bad.vmdk
try "$IMG" info bad.vmdk
checked
grep -q 'The image descriptor is too large' "$T/.err" || bad "a long descriptor: $(cat "$T/.err")"
perl -e 'print "version=1\nCID=1\nparentCID=1\ncreateType=\"monolithicFlat\"\n", "RW 1 FLAT \"sparse.raw\" 0\n" x 20000' >bad.vmdk
try "$IMG" info bad.vmdk
checked
grep -q 'names more than 16384 extents' "$T/.err" || bad "many lines: $(cat "$T/.err")"

# a chain that bites its tail
printf '%b' "$head${ids}createType=\"monolithicFlat\"\nparentFileNameHint=\"b.vmdk\"\nRW 1 FLAT \"sparse.raw\" 0\n" >a.vmdk
sed 's/b.vmdk/a.vmdk/' a.vmdk >b.vmdk
try "$IMG" convert -O raw a.vmdk out
checked
[ $rc = 1 ] && grep -q 'infinite loop' "$T/.err" || bad "a loop: exit $rc: $(cat "$T/.err")"
finish
