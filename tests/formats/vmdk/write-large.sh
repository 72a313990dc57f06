#!/bin/bash
# A guest of 8 TiB that holds next to nothing: quick, small in memory, small on disk.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/writing.bash"
need_reference
need_ours
scratch 300
cd "$T"

# no more than this, address space apart: (64 MiB)
limited() {
    local peak
    peak=$( { /usr/bin/time -f %M "$@" >&2; } 2>&1 | tail -1)
    checked
    [ "$peak" -lt 65536 ] || bad "$peak KiB: $*"
}
need /usr/bin/time

TIB=$((1024 * GIB))
truncate -s $((8 * TIB)) source
put source 0 noise 70000 1
put source $((5 * TIB + 65000)) text 100000 2
put source $((8 * TIB - 512)) text 512 3

same_at() {
    local at=$1 want got
    want=$("$REF_IO" -f raw -r -c "read -v $at 512" source | head -32)
    got=$("$REF_IO" -f vmdk -r -c "read -v $at 512" out/disk.vmdk | head -32)
    checked
    [ "$want" = "$got" ] || bad "$s: differs at $at"
}

for s in "${subformats[@]}"; do
    folder out
    limited "$IMG" create -q -f vmdk -o "subformat=$s" out/disk.vmdk 8T
    case $s in twoGb*) ;; *)
        [[ $("$REF" info -f vmdk out/disk.vmdk) == *"virtual size: 8 TiB"* ]] || bad "$s: info" ;;
    esac
    folder out
    limited "$IMG" convert -f raw -O vmdk -o "subformat=$s" source out/disk.vmdk
    [ "$(du -sm out | cut -f1)" -lt 80 ] || bad "$s: $(du -sm out) MiB"
    case $s in twoGb*) continue ;; esac
    for at in 0 69632 $((5 * TIB + 65536)) $((8 * TIB - 512)) $((7 * TIB)); do
        same_at "$at"
    done
done

# more files than a shell's usual limit
folder out
(ulimit -S -n 256 && "$IMG" create -q -f vmdk -o subformat=twoGbMaxExtentSparse out/disk.vmdk 1T) ||
    bad "512 extents with a soft limit of 256 files"
[ "$(ls out | wc -l)" = 513 ] || bad "not all extents: $(ls out | wc -l)"
finish
