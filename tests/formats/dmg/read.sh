#!/bin/bash
# All kinds of chunks, in all places where their tables can be, read to the bytes that were packed.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/dmg/guest.bash"
need_reference
need 7zz xz
scratch 100
cd "$T"

# reads NAME.. : make-udif's words
reads() {
    udif image.dmg raw "$@"
    good "$IMG" convert -O raw image.dmg ours || return 0
    cmp raw ours || bad "read otherwise: $*"
    good "$IMG" compare -q -F raw image.dmg raw || true
}

# also by an independent reader that knows all kinds, and the tables' checksums
as_7zip() {
    checked
    rm -rf extracted
    7zz x -tdmg -y -oextracted image.dmg >7zz.log 2>&1 || bad "7zz: $(grep -m1 ERROR 7zz.log): $*"
    cat extracted/* | cmp - raw || bad "7zz reads otherwise: $*"
}

as_reference() {
    checked
    reference convert -O raw image.dmg theirs
    cmp theirs raw || bad "the original reads otherwise: $*"
}

guest
for kind in raw zlib adc bzip2 xz; do
    reads chunk=256 $kind && as_7zip $kind
    reads chunk=77 zeros $kind && as_7zip $kind
done
reads chunk=100 raw zlib adc bzip2 xz && as_7zip mixed
for where in plist fork both; do
    reads chunk=256 where=$where raw zlib && as_reference "$where"
    reads chunk=100 where=$where tables=4 comments raw zlib && as_reference "$where tables=4"
done
reads chunk=100 tables=3 order=backward zlib # the original loses its way here
for after in 1 200 511; do
    reads chunk=256 after=$after raw
done
reads chunk=256 lead=1000 base=77 raw zlib && as_reference lead
reads chunk=8 raw zlib
reads chunk=4000 zlib && as_reference "one chunk"
reads chunk=3 wrap=60000 raw && as_reference "long lines"
finish
