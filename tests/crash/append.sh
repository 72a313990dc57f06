# A stop in the middle of `convert -n` into images that grow at their end and link blocks by a table:
# each sector is as it was, or as it will be.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/crash/crash.bash
. "$(dirname "$0")/crash.bash"
need_reference
need_ours
scratch 300
MOMENTS=${CRASH_MOMENTS:-5}

# into FORMAT CREATE-OPTIONS [CRASH]
into() {
    prepare
    truncate -s 0 source
    truncate -s 6M source
    "$REF" create -q -f "$1" ${2:+-o "$2"} image 6M
    "$REF_IO" -f "$1" -c 'write -P 1 100k 300k' -c 'write -P 2 3M 1M' image >/dev/null
    put source 200000 noise 400000 1
    put source 2500000 noise 900000 2
    put source 5000000 noise 70000 3
    contents image "$1" "$T/old"
    "${3:-crash}" "convert -n, $1 ${2:-}" "$IMG" convert -n -t writeback -f raw -O "$1" source image \
        -- sectors image "$1" "$T/old" source
}

into vpc force_size=on
into qed cluster_size=4k,table_size=2
into qed ''
into qcow ''
into qcow '' crash_unsynced
finish
