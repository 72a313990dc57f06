#!/bin/bash
# nbd: what is written to an export is what was meant, whatever the server can do and whatever stood
# there before.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/../../servers.sh"
need_reference
need_ours
scratch 400
need_nbd
cd "$T"
truncate -s 24M disk
for at in 0 1 5 6 13 22; do put disk $((at * 1048576 + at * 5000)) noise $((at * 50000 + 70000)) "$at"; done
truncate -s 24M disk
pattern noise $((24 * 1048576)) 99 >old

# writes_same WHAT NBDKIT-ARGS...: onto what was there before, with and without -n
writes_same() {
    local what=$1 opt
    shift
    for opt in -n ""; do
        cp old export
        nbd_serve "$@"
        # shellcheck disable=SC2086
        good "$IMG" convert $opt -f raw -O raw disk "$URI" || continue
        nbd_stop
        cmp disk export || bad "$what (${opt:-no -n}): other bytes"
    done
}

writes_same "a file" file export
writes_same "one connection" --filter=multi-conn file export multi-conn-mode=disable
writes_same "without zeroing" --filter=nozero file export
writes_same "without trimming" --filter=nozero file export zeromode=notrim
writes_same "blocks of 4 KiB" --filter=blocksize-policy file export blocksize-minimum=4096 \
    blocksize-preferred=64K blocksize-maximum=128K blocksize-error-policy=error
writes_same "blocks of 64 KiB" --filter=blocksize-policy file export blocksize-minimum=64K \
    blocksize-preferred=64K blocksize-maximum=1M blocksize-error-policy=error
writes_same "a slow one" --filter=delay file export wdelay=1ms

# every byte of it is flushed before we say that all is well
cp old export
nbd_serve --filter=log file export logfile="$T/log"
good "$IMG" convert -n -f raw -O raw disk "$URI"
grep -v '^.*\(Disconnect\|Connect\|Ready\|Fork\|Preconnect\|ListExports\)' log | grep '\.\.\.$' | tail -1 |
    grep -q Flush || bad "the last request is no flush"
checked
: >log
good "$IMG" convert -n -t unsafe -f raw -O raw disk "$URI"
[ "$(nbd_count log Flush)" = 0 ] || bad "flushed in spite of -t unsafe"
: >log
good "$IMG" convert -n -t writethrough -f raw -O raw disk "$URI"
grep -q 'Write .*fua=1' log || bad "no write went through"

# smaller than the export; an image of another format; all three read it
cp old export
nbd_serve file export
"$IMG" convert -f raw -O qcow2 disk d.qcow2
good "$IMG" convert -O raw d.qcow2 "$URI"
"$REF" compare disk "$URI" >/dev/null || bad "from qcow2"
for format in qcow2; do
    cp old export
    nbd_serve_qemu -e 4 -f raw export
    good "$IMG" convert -f raw -O $format -c disk "$URI"
    good "$REF" check "$URI" || true
    good "$REF" compare disk "$URI" || true
    good "$IMG" compare disk "$URI" || true
done
# what stood there is not taken for an image
good "$IMG" create -q -f raw "$URI" 1M
[ "$("$REF" info --output=json "$URI" | jq -r .format)" = raw ] || bad "still an image"
checked

# an image that does not fit: said before the first byte is lost
cp old export
truncate -s 8M export
cp export before
nbd_serve file export
try "$IMG" convert -f raw -O raw disk "$URI"
checked
[ $rc = 1 ] || bad "too small: exit $rc"
nbd_stop
cmp export before || bad "too small, and yet written to"

# ranks
if command -v mpirun >/dev/null; then
    cp old export
    nbd_serve file export
    good ranks 3 "$IMG" convert -n -f raw -O raw disk "$URI"
    cp old export
    good ranks 3 "$IMG" convert -f raw -O raw disk "$URI"
    nbd_stop
    cmp disk export || bad "three ranks: other bytes"
    cp old export
    nbd_serve file export
    good ranks 3 "$IMG" convert -f raw -O qcow2 disk "$URI"
    good "$REF" check "$URI" || true
    good "$REF" compare disk "$URI" || true
fi
finish
