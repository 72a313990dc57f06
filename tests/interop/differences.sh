#!/bin/bash
# Where we differ on purpose, as README says: each difference is there, and is no wider.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
need_reference
need_ours
scratch 300
cd "$T"
materials

# refused NAME CMD...: exit 1, one message, no output
refused() {
    local name=$1
    shift
    rm -f out
    try timeout 20 "$@"
    checked
    [ $rc = 1 ] || bad "$name: exit $rc"
    [ "$(grep -c "^$(basename "$IMG"): " "$T/.err")" = 1 ] || bad "$name: $(cat "$T/.err")"
    [ ! -e out ] || bad "$name: left an output"
}

# data behind the end of the file
create qcow2 cut 64M
io qcow2 cut "write -s noise.bin 0 2M" "write -P 1 30M 1M"
truncate -s -1M cut
refused "truncated to raw" "$IMG" convert -f qcow2 -O raw cut out
refused "truncated to qcow2" "$IMG" convert -f qcow2 -O qcow2 cut out
"$REF" create -q -f qcow2 -b cut -F qcow2 over
refused "truncated backing" "$IMG" convert -f qcow2 -O raw over out
good "$IMG" info cut || true
# ... but a last cluster that its writer left short is whole
create qcow2 short $((65536 + 512))
io qcow2 short "write -s noise.bin 0 66048"
truncate -s $(($(stat -c %s short) / 65536 * 65536 + 512)) short
[ "$(stat -c %s short)" -gt 65536 ] && good "$IMG" convert -f qcow2 -O raw short out || true

# backing files in a loop
create qcow2 -u -b a -F qcow2 b 8M
create qcow2 -u -b b -F qcow2 a 8M
refused "loop" "$IMG" convert -f qcow2 -O raw a out

# synced before the name, unless -t unsafe
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    create raw source 8M
    put source 0 noise 100000
    order() {
        strace -f -o trace -e trace=fsync,fdatasync,syncfs,rename,renameat,renameat2 \
            "$IMG" convert "$@" -f raw -O qcow2 source out
        sed -E 's/^[0-9]+ +//; s/\(.*//; s/fdatasync|syncfs/fsync/; s/renameat2?/rename/; /^[a-z]/!d; /^(exit|resumed)/d' \
            trace | grep -E 'fsync|rename' | uniq | tr '\n' ' '
    }
    checked
    [ "$(order)" = "fsync rename fsync " ] || bad "not sync, rename, sync: $(order)"
    [ "$(order -t unsafe)" = "rename " ] || bad "-t unsafe: $(order -t unsafe)"
else
    echo "note: no strace, the order of sync and rename is not looked at"
fi
finish
