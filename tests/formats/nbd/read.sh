#!/bin/bash
# nbd: every kind of server gives the same bytes; holes move none, and cost few questions.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/../../servers.sh"
need_reference
scratch 400
need_nbd
cd "$T"
truncate -s 40M disk
for at in 0 1 5 6 7 20 33; do put disk $((at * 1048576 + at * 4096)) noise $((at * 50000 + 70000)) "$at"; done
"$REF" convert -f raw -O qcow2 -c disk disk.qcow2

# reads_same WHAT: what the server gives is the disk, by all ways of reading
reads_same() {
    local -a f=(${2:-})
    good "$IMG" convert "${f[@]}" -O raw "$URI" out || return 0
    cmp disk out || bad "$1: other bytes"
    good "$IMG" compare "$URI" disk || bad "$1: compare"
    like_reference map --output=json "$URI"
    like_reference compare "$URI" disk
    rm -f out
}

nbd_serve file disk && reads_same "a file"
nbd_serve file disk.qcow2 && reads_same "an image in a file"
nbd_serve --filter=noextents file disk && reads_same "without extents"
nbd_serve --filter=multi-conn file disk multi-conn-mode=disable && reads_same "one connection"
nbd_serve --filter=noparallel file disk && reads_same "one request at a time"
nbd_serve --filter=blocksize-policy file disk blocksize-minimum=4096 blocksize-preferred=64K \
    blocksize-maximum=128K blocksize-error-policy=error && reads_same "blocks of 4 KiB"
nbd_serve --filter=blocksize-policy file disk.qcow2 blocksize-minimum=4096 blocksize-preferred=64K \
    blocksize-maximum=64K blocksize-error-policy=error && reads_same "an image in blocks of 4 KiB"
nbd_serve --filter=delay file disk rdelay=1ms && reads_same "a slow one"
nbd_serve --no-sr file disk && reads_same "without structured replies"
nbd_serve -o file disk && reads_same "an old handshake" || true
nbd_serve_qemu -r -f raw disk && reads_same "qemu-nbd, for one client"
nbd_serve_qemu -r -e 3 -f raw disk && reads_same "qemu-nbd, for three clients"
nbd_serve_qemu -r -e 16 -f qcow2 disk.qcow2 && reads_same "qemu-nbd of an image"
# by TCP
nbd_stop
port=$(perl -e "print 20000 + int rand 40000")
if nbdkit -p "$port" -i 127.0.0.1 -P "$T/nbd.pid" file disk; then
    URI=nbd://127.0.0.1:$port
    reads_same "by TCP"
    URI=nbd:127.0.0.1:$port
    reads_same "by TCP, the old name"
fi

# an odd end: the rest of the last sector is zero
head -c 1000001 disk >odd
cp odd odd.padded
truncate -s %512 odd.padded
nbd_serve file odd
good "$IMG" convert -f raw -O raw "$URI" out
cmp out odd.padded || bad "an odd end"
nbd_serve --filter=blocksize-policy file odd blocksize-minimum=512 blocksize-preferred=4096 \
    blocksize-maximum=64K
checked
try "$IMG" convert -f raw -O raw "$URI" out
[ $rc = 1 ] || bad "an odd end in blocks: exit $rc"

# 8 TiB of nothing: few questions and no bytes
need_ours
nbd_serve --filter=log --filter=cacheextents memory 8T logfile="$T/log"
good timeout 60 "$IMG" convert -f raw -O qcow2 "$URI" out
[ "$(nbd_count log Read)" = 0 ] || bad "zeros were read: $(nbd_count log Read)"
[ "$(nbd_count log Extents)" -lt 6000 ] || bad "questions about 8 TiB: $(nbd_count log Extents)"
nbd_serve --filter=log file disk logfile="$T/log"
: >log
good "$IMG" convert -f raw -O raw "$URI" out
[ "$(nbd_count log Extents)" -le 4 ] || bad "questions about 40 MiB: $(nbd_count log Extents)"

# ranks share the work, each with its own connections
if command -v mpirun >/dev/null; then
    good ranks 3 "$IMG" convert -f raw -O raw "$URI" out
    cmp disk out || bad "three ranks: other bytes"
fi
finish
