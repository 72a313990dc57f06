# A stop in the middle of `snapshot`: the state is the one before or the one after, and what is in
# a snapshot stays.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/crash/crash.bash
. "$(dirname "$0")/crash.bash"
need_reference
need_ours
scratch 300
MOMENTS=${CRASH_MOMENTS:-6}

# image OPTIONS: a snapshot with one state, another state since then.
image() {
    prepare
    truncate -s 4M "$T/raw"
    put "$T/raw" 100000 noise 300000 1
    put "$T/raw" 2000000 noise 700000 2
    "$REF" convert -c -f raw -O qcow2 -o "$1" "$T/raw" image
    "$REF_IO" -c 'write -P 7 3M 256k' image >/dev/null
    "$REF" snapshot -c one image
    contents image qcow2 "$T/one"
    "$REF_IO" -c 'write -P 8 3M 100k' -c 'write -P 9 512 3000' image >/dev/null
    contents image qcow2 "$T/now-model"
}

for options in compat=1.1 cluster_size=4k,refcount_bits=8 cluster_size=16k,extended_l2=on \
    compat=0.10,cluster_size=512; do
    image $options
    kept="and snapshot image one $T/one and snapshot image two $T/now-model"
    crash "create, $options" "$IMG" snapshot -c two image -- \
        content image qcow2 "$T/now-model" $kept
    crash "apply, $options" "$IMG" snapshot -a one image -- \
        content image qcow2 "$T/now-model" "$T/one" $kept
    crash "delete, $options" "$IMG" snapshot -d two image -- \
        content image qcow2 "$T/one" $kept
    crash "delete the other, $options" "$IMG" snapshot -d one image -- \
        content image qcow2 "$T/one" $kept
done
image compat=1.1
crash_unsynced "delete without syncs" "$IMG" snapshot -d one image -- \
    content image qcow2 "$T/now-model"
finish
