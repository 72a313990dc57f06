#!/bin/bash
# A bitmap of half a billion bits costs no more memory than one of a few: read, merged, copied, and
# set all over the disk by writes in place.
. "$(dirname "$0")/../lib.sh"
need_reference
need_ours
PAIRS=$BUILD/bench_pairs
[ -x "$PAIRS" ] || skip "bench_pairs is not built"
scratch 600
cd "$T"

# peak NAME MIB CMD...: resident memory at most that much.
peak() {
    local name=$1 most=$2 mib
    shift 2
    mib=$("$PAIRS" --one "$@" 2>"$T/.err" | awk '{ print int($3 / 1024) }') || bad "$name: $(cat "$T/.err")"
    checked
    echo "$name: $mib MiB"
    [ "${mib:-99999}" -le "$most" ] || bad "$name: $mib MiB, more than $most"
}

"$REF" create -q -f qcow2 image 256G
"$IMG" bitmap --add -g 512 image full
"$REF_IO" -c "write -z -n -u 0 256G" image >/dev/null # 64 MiB of ones
peak "merge" 16 "$IMG" bitmap --add --merge full -g 512 image same
peak "merge into larger granules" 16 "$IMG" bitmap --add --merge full -g 64k image larger
peak "merge into smaller granules" 16 "$IMG" bitmap --add --merge larger -g 1k image smaller
peak "clear" 16 "$IMG" bitmap --clear image full
peak "convert --bitmaps" 48 "$IMG" convert --threads 4 --bitmaps -O qcow2 image copy
for image in image copy; do
    checked
    "$REF" check -q $image || bad "$image is not clean"
done

# 20,000 places, each in a page of bits of its own: 80 MiB of pages
"$REF" create -q -f qcow2 plain 256G
"$REF" create -q -f qcow2 tracked 256G
"$IMG" bitmap --add -g 512 tracked b
writes() {
    "$PAIRS" --one "$IMG" bench -w -f qcow2 -c 20000 -d 1 -s 512 -S 13M "$1" |
        awk 'END { print int($3 / 1024) }'
}
plain=$(writes plain) tracked=$(writes tracked)
echo "writes in place: $plain MiB, with a bitmap $tracked MiB"
checked
[ "$tracked" -le $((plain + 24)) ] || bad "$tracked MiB with a bitmap, $plain MiB without"
checked
"$REF" check -q tracked || bad "tracked is not clean"
finish
