#!/bin/bash
# What is not there costs nothing: 64 TiB of holes convert, compare and check in seconds.
. "$(dirname "$0")/../lib.sh"
need_reference
scratch 300
cd "$T"

# soon CMD...: well below a minute, which a program that walks cluster by cluster cannot.
soon() {
    good timeout 30 "$@"
}

"$REF" create -q -f qcow2 empty 64T
"$REF" create -q -f qcow2 -o cluster_size=2M few 64T
"$REF_IO" -f qcow2 -c "write -P 1 0 64k" -c "write -P 2 40T 1M" -c "write -P 3 70368744112128 64k" \
    few >/dev/null
truncate -s 60T sparse 2>/dev/null || skip "no file of 60 TiB on this file system"
put sparse $((3 * 1099511627776 + 4096)) text 100000
put sparse $((59 * 1099511627776)) noise 100000

soon "$IMG" info --output=json empty || true
soon "$IMG" map --output=json empty || true
soon "$IMG" map --output=json sparse || true
soon "$IMG" measure -O qcow2 -o cluster_size=2M sparse || true
soon "$IMG" check few || true
if is_reference; then
    finish
    exit
fi
soon "$IMG" convert -f qcow2 -O raw empty out && [ "$(stat -c '%s %b' out)" = "$((64 << 40)) 0" ] ||
    bad "64 TiB empty to raw: $(stat -c '%s bytes, %b blocks' out)"
rm -f out
soon "$IMG" convert -f qcow2 -O raw few out && soon "$IMG" compare few out || true
rm -f out
soon "$IMG" convert -f raw -O qcow2 -o cluster_size=2M sparse out &&
    soon "$IMG" compare -f raw -F qcow2 sparse out &&
    { "$REF" check -q out || bad "60 TiB sparse to qcow2: check finds fault"; }
rm -f out
soon "$IMG" convert -f raw -O qcow2 -c -o cluster_size=2M sparse out &&
    soon "$IMG" compare -f raw -F qcow2 sparse out || true
rm -f out
soon "$IMG" convert -f raw -O raw sparse out && soon "$IMG" compare sparse out || true
if command -v mpirun >/dev/null; then
    rm -f out
    soon mpirun -n 3 --oversubscribe "$IMG" convert -f raw -O qcow2 -o cluster_size=2M sparse out &&
        soon "$IMG" compare -f raw -F qcow2 sparse out || true
else
    echo "note: no mpirun, several ranks are not tried"
fi
finish
