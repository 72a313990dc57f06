# A stop in the middle of `commit`: the overlay reads as it did, and the base has of each sector what
# was there before or what belongs there. A stop in the middle of `convert -n`: likewise.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/crash/crash.bash
. "$(dirname "$0")/crash.bash"
need_reference
need_ours
scratch 300
MOMENTS=${CRASH_MOMENTS:-15}

# base BASE-OPTIONS: with noise in it. overlay OPTIONS...: with data, zeros and holes over it.
base() {
    prepare
    truncate -s 3M "$T/raw"
    put "$T/raw" 100000 noise 300000 1
    put "$T/raw" 1500000 noise 900000 2
    "$REF" convert -f raw -O qcow2 -o "$1" "$T/raw" base
}

overlay() {
    "$REF" create -q -f qcow2 -o "$1" -b base -F qcow2 top 4M
    "$REF_IO" -c 'write -P 7 30k 300k' -c 'write -P 8 1M 700k' -c 'write -z 2M 256k' \
        -c 'write -P 9 3400k 100k' top >/dev/null
}

committed() {
    contents base qcow2 "$T/base-before"
    truncate -s 4M "$T/base-before"
    contents top qcow2 "$T/model"
    "${2:-crash}" "$1" "$IMG" commit -q top -- content top qcow2 "$T/model" and \
        grows base "$T/base-before" "$T/model"
}

base compat=1.1
overlay compat=1.1
committed "commit"
base compat=1.1
overlay compat=1.1
committed "commit without syncs" crash_unsynced

base compat=0.10,cluster_size=4k
overlay compat=0.10
committed "commit, version 2"

base compat=1.1,extended_l2=on
overlay compat=1.1,cluster_size=512
"$REF" snapshot -c one base
"$REF" snapshot -c two top
"$REF_IO" -c 'write -P 3 500k 200k' top >/dev/null
committed "commit, snapshots on both sides"

base compat=1.1
overlay compat=1.1
"$REF" bitmap --add top b
committed "commit, a bitmap in the overlay"

base compat=1.1
"$REF" create -q -f raw below 4M
"$REF_IO" -f raw -c 'write -P 6 0 4M' below >/dev/null
"$REF" create -q -f qcow2 -b below -F raw base 3M
"$REF_IO" -c 'write -P 5 1M 100k' base >/dev/null
overlay compat=1.1
committed "commit, the base grows over a longer image"

base compat=1.1
contents base qcow2 "$T/old"
put "$T/raw" 0 noise 1000000 3
truncate -s 2000000 "$T/raw" && truncate -s 3M "$T/raw"
cp "$T/raw" source
crash "convert -n" "$IMG" convert -n -t writeback -f raw -O qcow2 source base \
    -- sectors base qcow2 "$T/old" "$T/raw"
finish
