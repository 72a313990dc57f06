# A stop in the middle of `check -r` and of `convert -n`.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/crash/crash.bash
. "$(dirname "$0")/crash.bash"
need_reference
need_ours
scratch 300

damaged() {
    prepare
    truncate -s 4M "$T/raw"
    put "$T/raw" 100000 noise 300000 1
    put "$T/raw" 2000000 noise 200000 2
    "$REF" convert -f raw -O qcow2 -o "$1" "$T/raw" image
    "$REF_IO" -c 'write -P 7 3M 256k' image >/dev/null
    "$REF" snapshot -c one image
    "$REF_IO" -c 'write -P 8 3M 100k' image >/dev/null
    contents image qcow2 "$T/model"
}

for options in compat=1.1 compat=0.10 cluster_size=4k,refcount_bits=8; do
    damaged $options
    # the first block of refcounts is emptied from its middle on
    block=$(be image "$(be image 48 8)" 8)
    patch_bytes image $((block + 8)) "$(printf '0%.0s' $(seq 1 200))"
    crash "check -r all, $options" "$IMG" check -q -r all image -- mends image qcow2 "$T/model"
done
finish
