# A stop in the middle of `resize`: the image reads as it did, or as it is to read.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/crash/crash.bash
. "$(dirname "$0")/crash.bash"
need_reference
need_ours
scratch 300
MOMENTS=${CRASH_MOMENTS:-6}

# image OPTIONS [CREATE-WORDS...]: its end lies in a cluster that holds old data behind it.
image() {
    local options=$1
    shift
    prepare
    truncate -s 6M "$T/raw"
    put "$T/raw" 100000 noise 300000 1
    put "$T/raw" 2000000 noise 700000 2
    "$REF" convert -f raw -O raw "$T/raw" base
    "$REF" create -q -f qcow2 -o "$options" "$@" image 4M
    "$REF_IO" -c 'write -P 7 3M 256k' -c 'write -P 8 100k 50k' image >/dev/null
}

# resized NAME SIZE WORDS...: to be compared with what is there, cut or filled with zeros.
resized() {
    local name=$1 size=$2
    shift 2
    contents image qcow2 "$T/model"
    cp "$T/model" "$T/after"
    truncate -s "$size" "$T/after"
    crash "$name to $size" "$IMG" resize -q "$@" image "$size" -- \
        content image qcow2 "$T/model" "$T/after"
    contents image qcow2 "$T/got"
    cmp -s "$T/got" "$T/after" || bad "$name to $size: reads otherwise"
}

for options in compat=1.1 cluster_size=4k,refcount_bits=1 cluster_size=16k,extended_l2=on \
    compat=0.10,cluster_size=512; do
    image $options
    resized "$options" 3200000 --shrink
    resized "$options" 9M
    resized "$options" 1M --shrink
    resized "$options" 3M --preallocation=metadata
    resized "$options" 4M --preallocation=falloc
done

image compat=1.1
"$REF" snapshot -c one image
contents image qcow2 "$T/one"
resized snapshot 3200000 --shrink
resized snapshot 9M
"$IMG" convert -l one -f qcow2 -O raw image "$T/got"
checked
cmp -s "$T/got" "$T/one" || bad "the snapshot has changed"

for options in compat=1.1 compat=0.10 extended_l2=on; do
    image $options -b base -F raw
    resized "overlay, $options" 1000448 --shrink
    resized "overlay, $options" 5M
    resized "overlay, $options" 7M
done

image data_file=data
resized "data file" 3200000 --shrink
resized "data file" 5M
image data_file=data,data_file_raw=on
resized "raw data file" 3200000 --shrink
resized "raw data file" 5M
finish
