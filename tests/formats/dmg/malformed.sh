#!/bin/bash
# Damaged and hostile images are refused with one line, or their chunks are when they are read.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/dmg/guest.bash"
need_ours
scratch 100
cd "$T"

# refused WORDS: of image.dmg, by convert, with one line in which WORDS stand.
refused() {
    try timeout -k 5 20 "$IMG" convert -f dmg -O raw image.dmg out
    checked
    [ $rc = 1 ] || bad "$1: exit $rc"
    [ "$(wc -l <"$T/.err")" = 1 ] || bad "$1: $(wc -l <"$T/.err") lines"
    grep -qF -- "$1" "$T/.err" || bad "$1: but $(cat "$T/.err")"
    [ ! -e out ] || rm -f out
}

offset_of() {
    perl -e 'local $/; open(my $f, "<:raw", $ARGV[0]); print index(<$f>, $ARGV[1])' "$1" "$2"
}

# hurt OFFSET HEX WORDS
hurt() {
    cp good.dmg image.dmg
    patch_bytes image.dmg "$1" "$2"
    refused "$3"
}

trailer() {
    hurt $((koly)) 00 "Could not locate UDIF trailer"
    hurt $((koly + 0x28)) 000f000000000000 "Resource fork is outside"
    hurt $((koly + 0x30)) ffffffffffffffff "Resource fork is outside"
    hurt $((koly + 0x30)) 000000000000000f "Resource fork is too short"
    hurt $((koly + 0x30)) 0000000000000000 "neither resource fork nor property list"
    hurt $((koly + 0xd8)) ffffffffffffffff "Property list is outside"
    hurt $((koly + 0xe0)) 00000000ffffffff "Property list is outside"
    hurt $((koly + 0x18)) 7fffffffffffffff "Data fork is outside"
    hurt $((koly + 0x3c)) 00000002 "in 2 segments is not supported"
    hurt $((koly + 0x1ec)) ffffffffffffffff "too many sectors"
    hurt $((koly + 0x1ec)) 0001000000000000 "No chunk of the dmg file holds sector 3907"
}

fork() {
    hurt "$fork" ffffffff "Resources are outside of the resource fork"
    hurt $((fork + 8)) ffffffff "Resources are outside of the resource fork"
    hurt $((mish - 4)) ffffffff "Resource is outside of the resource fork"
    hurt "$mish" 6d697367 "no table of chunks"
    hurt $((fork + 8)) 00000000 "no table of chunks"
}

table() {
    local row=$((mish + 204))
    hurt $((mish + 8)) ffffffffffffffff "chunk 0 is outside of any disk"
    hurt $((mish + 8)) 0000000000000100 "No chunk of the dmg file holds sector 0"
    hurt $((mish + 24)) 7fffffffffffff00 "chunk 0 is outside of any file"
    hurt $((row + 8)) 7fffffffffffffff "chunk 0 is outside of any disk"
    hurt $((row + 8)) 0000000000000080 "chunks overlap at sector 256"
    hurt $((row + 16)) 0000000000020001 "sector count 131073 for chunk 0 is larger than max (131072)"
    hurt $((row + 16)) 0000000000020000 "chunks overlap"
    hurt $((row + 16)) ffffffffffffffff "sector count 18446744073709551615 for chunk 0"
    hurt $((row + 16)) 00000000000000ff "holds sector 255"
    hurt $((row + 24)) ffffffffffffff00 "chunk 0 is outside of any file"
    hurt $((row + 24)) 0000100000000000 "Input/output error"
    hurt $((row + 32)) 0000000004000001 "length 67108865 for chunk 0 is larger than max (67108864)"
    hurt $((row + 32)) 0000000000000010 "Input/output error"
    hurt $((row + 32)) 0000000000000000 "Input/output error"
    hurt "$row" 00000001 "for raw chunk 0 is too short"
    hurt "$row" 00001234 "chunks of unknown type 1234 are not supported"
    hurt "$row" 80000009 "chunks of unknown type 80000009 are not supported"
    hurt "$row" ffffffff "no table of chunks"
    hurt $((row + 40)) ffffffff "holds sector 256"
    hurt 10 ffffffff "Input/output error"
    local kind
    for kind in 80000004 80000006 80000008; do
        hurt "$row" $kind "rror"
    done
}

plist() {
    udif good.dmg raw chunk=256 zlib
    local data
    data=$(offset_of good.dmg bWlzaA)
    hurt "$data" 21 "Property list has broken base64"
    hurt "$data" 7a "no table of chunks"
    hurt $((data + 700)) 3c "No chunk of the dmg file holds sector"
}

guest
udif good.dmg raw chunk=256 where=fork zlib
koly=$(($(stat -c %s good.dmg) - 512))
mish=$(offset_of good.dmg mish)
fork=$((mish - 256 - 4))
trailer
fork
table
plist
finish
