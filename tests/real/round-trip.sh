#!/bin/bash
# A disk as people have it, there and back: plain and packed, alone and on four ranks.
. "$(dirname "$0")/../lib.sh"
need_reference
need e2fsck debugfs e2image
scratch 5000
cd "$T"
TMPDIR=$T bash "$TESTS/real/make-real-image" "$T/disk" "${REAL_MIB:-1024}"

# file_system FILE: the ext4 in it is clean, read-only check
file_system() {
    checked
    e2fsck -fn "$1?offset=1048576" >"$T/fsck" 2>&1 || {
        bad "$1: the file system is damaged"
        tail -n 5 "$T/fsck" >&2
    }
}

# there_and_back NAME RUN...: RUN is what the program's name is put behind
there_and_back() {
    local name=$1 codec
    shift
    for codec in plain "-c" "-c -o compression_type=zstd"; do
        # shellcheck disable=SC2086  # words
        good "$@" "$IMG" convert -f raw -O qcow2 ${codec#plain} disk image || continue
        "$REF" check -q -f qcow2 image || bad "$name, $codec: check finds fault"
        "$REF" compare -q -f raw -F qcow2 disk image || bad "$name, $codec: compare finds a difference"
        good "$@" "$IMG" compare disk image || true
        good "$@" "$IMG" convert -f qcow2 -O raw image back || continue
        cmp disk back || bad "$name, $codec: other bytes come back"
        file_system back
        echo "$name, $codec: $(($(stat -c %s image) >> 20)) MiB"
        rm -f image back
    done
}

file_system disk
there_and_back "one process" env
if command -v mpirun >/dev/null && ! is_reference; then
    there_and_back "four ranks" mpirun -n 4 --oversubscribe
else
    echo "note: several ranks are not tried"
fi
finish
