#!/bin/bash
# Descriptor files: what lines count, names of extents, mixed kinds, very many extents.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vmdk/same.bash"
need_reference
need perl
scratch 200
cd "$T"

truncate -s 1M flat.img
put flat.img 500000 noise 100000
build sparse g128.vmdk g128.raw size=20096
build sparse g64.vmdk g64.raw size=20032 grain=64 seed=2
"$REF" convert -f raw -O vmdk -o subformat=streamOptimized g64.raw packed.vmdk

# both NAME TYPE LINE...: the original and we say the same of it, and read the same
both() {
    describe "${@:2}" >d.vmdk
    local rc=0
    "$REF" convert -f vmdk -O raw d.vmdk theirs.raw 2>/dev/null || rc=1
    same_words d.vmdk
    [ $rc = 1 ] || same_disk d.vmdk theirs.raw
}

both flat monolithicFlat 'RW 2048 FLAT "flat.img" 0'
both part monolithicFlat 'RW 1000 FLAT "flat.img" 1024'
both twice twoGbMaxExtentFlat 'RW 1000 FLAT "flat.img" 1000' 'RW 1000 FLAT "flat.img" 0'
both odd twoGbMaxExtentSparse 'RW 2047 FLAT "flat.img" 0' 'RW 20032 SPARSE "g64.vmdk"'
both blanks monolithicFlat $'  RW\t2048   FLAT "flat.img"\t0  and more'
both crlf monolithicFlat $'RW 2048 FLAT "flat.img" 0\r'
both others twoGbMaxExtentFlat 'RDONLY 2048 FLAT "flat.img" 0' 'NOACCESS 100 ZERO' 'RW 2048 FLAT "flat.img" 0'
both absolute monolithicFlat "RW 2048 FLAT \"$T/flat.img\" 0"
both grains twoGbMaxExtentSparse 'RW 20096 SPARSE "g128.vmdk"' 'RW 20032 SPARSE "g64.vmdk"'
both mixed monolithicFlat 'RW 20096 SPARSE "g128.vmdk"' 'RW 2048 FLAT "flat.img" 0' 'RW 20032 SPARSE "packed.vmdk"'
both size twoGbMaxExtentSparse 'RW 99 SPARSE "g128.vmdk"'  # the extent's own header counts

# refused in the original's words
both nowhere monolithicFlat 'RW 2048 FLAT "nix.img" 0'
both protocol monolithicFlat 'RW 2048 FLAT "nbd://localhost/x" 0'
both options monolithicFlat 'RW 2048 FLAT "json:{}" 0'
both prefix monolithicFlat 'RW 2048 FLAT "file:flat.img" 0'
both no-offset monolithicFlat 'RW 2048 FLAT "flat.img"'
both an-offset vmfs 'RW 2048 VMFS "flat.img" 0'
both minus monolithicFlat 'RW 2048 FLAT "flat.img" -1'
both word monolithicFlat 'RW 2048 FOO "flat.img" 0'
both type custom 'RW 2048 FLAT "flat.img" 0'
both no-sparse twoGbMaxExtentSparse 'RW 2048 SPARSE "flat.img"'
both no-sesparse seSparse 'RW 2048 SESPARSE "flat.img"'

# refuse TEXT TYPE LINE...: where the original goes astray, we say what is wrong
refuse() {
    describe "${@:2}" >d.vmdk
    try "$IMG" info d.vmdk
    checked
    [ $rc = 1 ] && [ "$(wc -l <"$T/.err")" = 1 ] && grep -qF "Could not open 'd.vmdk': $1" "$T/.err" ||
        bad "exit $rc, not '$1': $(cat "$T/.err")"
}
refuse 'Invalid extent line: RW 2048 ZERO' monolithicFlat 'RW 2048 ZERO' 'RW 2048 FLAT "flat.img" 0'
refuse 'Invalid extent line: RW x FLAT' monolithicFlat 'RW x FLAT "flat.img" 0'
refuse 'Invalid extent line: RW 0 FLAT' monolithicFlat 'RW 0 FLAT "flat.img" 0'
refuse 'Invalid extent line: RW 2048 FLAT ""' monolithicFlat 'RW 2048 FLAT "" 0'
refuse 'Invalid extent line: RW 99999999999999999999' monolithicFlat 'RW 99999999999999999999 FLAT "flat.img" 0'
refuse 'Could not refresh total sector count: File too large' monolithicFlat 'RW 9999999999999999999 FLAT "flat.img" 0'
refuse 'The image descriptor names no extents' monolithicFlat

# a file that is cut short: the original shows zeros
describe monolithicFlat 'RW 4096 FLAT "flat.img" 0' >d.vmdk
try "$IMG" convert -f vmdk -O raw d.vmdk no.raw
checked
[ $rc = 1 ] || bad "read beyond the end of an extent: exit $rc"

# more extents than a process may open files, and than tables are held
build sparse e.vmdk e.raw size=1000
for ((i = 0; i < 300; i++)); do lines[i]='RW 1000 SPARSE "e.vmdk"'; done
describe twoGbMaxExtentSparse "${lines[@]}" >many.vmdk
for ((i = 0; i < 300; i++)); do cat e.raw; done >many.raw
same_disk many.vmdk many.raw
rm -f ours.raw
(ulimit -Sn 64 && "$IMG" compare -q -f vmdk -F raw many.vmdk many.raw) ||
    bad "many extents, few files allowed"
checked
(ulimit -n 64 && ! "$IMG" info many.vmdk 2>"$T/.err" && grep -q 'Too many open files' "$T/.err") ||
    bad "more extents than files can be open: $(cat "$T/.err")"
checked
rm -f many.raw
"$REF" create -q -f vmdk e.vmdk 64M
describe twoGbMaxExtentSparse "${lines[@]//1000/131072}" >many.vmdk
alike map --output=json many.vmdk # one hole
finish
