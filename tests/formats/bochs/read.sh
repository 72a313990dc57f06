#!/bin/bash
# Growing images of both versions and all sizes of extents, read as the original reads them.
. "$(dirname "$0")/../../lib.sh"
need_reference
scratch 300
cd "$T"
. "$TESTS/interop/alike.bash"

make_redolog() {
    perl "$TESTS/formats/bochs/make-redolog" "$@"
}

# reads WORDS: make-redolog's
reads() {
    make_redolog image raw "$@"
    "$REF" convert -O raw image theirs
    good "$IMG" convert -O raw image ours || return 0
    cmp ours theirs || bad "read otherwise: $*"
    cmp ours raw || bad "not what it was made of: $*"
    good "$IMG" compare -q -F raw image raw || true
    alike info image
    alike info --output=json image
    alike map --output=json image
}

truncate -s 9999872 raw # not a whole number of extents
put raw 0 text 300032
put raw 1000448 noise 300032
put raw 1500160 noise 512
put raw 1501184 noise 1024
put raw 8000000 text 1999872
for extent in 512 1024 4096 65536 1048576 8388608; do
    reads extent=$extent
done
reads version=1
reads order=backward extent=4096
reads entries=100000

alike map image
alike check image
alike info -f bochs raw
alike create -f bochs new 1M
alike convert -O bochs raw new
make_redolog image raw size=70657 # not a whole number of sectors
alike info image
truncate -s 4T huge
make_redolog image /dev/null size=$((4 << 40)) extent=8388608
good timeout 20 "$IMG" convert -O raw image out
[ "$(stat -c %s out)" = $((4 << 40)) ] || bad "4 TiB became $(stat -c %s out)"
finish
