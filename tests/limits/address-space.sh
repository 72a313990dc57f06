#!/bin/bash
# The limits that callers set: image services run info under 2 s of CPU and 1 GiB of address space,
# and convert under 2 GiB. Nothing may map more than that, MPI library included.
. "$(dirname "$0")/../lib.sh"
need_reference
scratch 400
cd "$T"
pattern text $((8 * 1048576)) >raw
truncate -s 200M raw
"$REF" convert -f raw -O qcow2 raw plain
"$REF" convert -f raw -O qcow2 -c raw packed
"$REF" convert -f raw -O qcow2 -c -o compression_type=zstd raw packed-zstd

# limited KIB SECONDS CMD...
limited() {
    local kib=$1 seconds=$2
    shift 2
    good bash -c 'ulimit -v "$1" -t "$2"; shift 2; exec "$@"' - "$kib" "$seconds" "$@"
}

for image in raw plain packed packed-zstd; do
    limited 1048576 2 "$IMG" info --output=json "$image" || true
    limited 976562 2 "$IMG" info "$image" || true # 1,000,000,000 bytes
done
for args in "-O raw packed" "-O raw packed-zstd" "-O qcow2 plain" "-c -O qcow2 -f raw raw" \
    "-c -O qcow2 -o compression_type=zstd -f raw raw" "-O raw -f raw raw" "-t none -O raw plain"; do
    # shellcheck disable=SC2086  # words
    MALLOC_ARENA_MAX=3 limited 2097152 60 "$IMG" convert $args out || continue
    "$REF" compare -q -f raw -F "$(case $args in *"-O raw"*) echo raw ;; *) echo qcow2 ;; esac)" \
        raw out || bad "wrong result: $args"
done

# many threads do not need more than they are allowed either
if ! is_reference; then
    limited 4194304 60 "$IMG" convert --threads 32 -c -O qcow2 -f raw raw out || true
fi
finish
