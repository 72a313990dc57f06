# A stop in the middle of a rebase: whichever backing image the header names then, the image reads as
# it did.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/crash/crash.bash
. "$(dirname "$0")/crash.bash"
need_reference
need_ours
scratch 300

# overlay FORMAT OPTIONS: `image` on `old`, and `new`, which holds some of the same, less and more
overlay() {
    prepare
    "$REF" create -q -f qcow2 old 6M
    "$REF_IO" -c 'write -P 1 0 900k' -c 'write -P 2 2M 1M' -c 'write -P 3 5M 64k' old >/dev/null
    "$REF" create -q -f raw new 4M
    "$REF_IO" -f raw -c 'write -P 1 0 300k' -c 'write -P 4 1M 1500k' -c 'write -P 5 3M 1M' new >/dev/null
    "$REF" create -q -f "$1" -o "$2" -b old -F qcow2 image
    "$REF_IO" -f "$1" -c 'write -P 6 200k 200k' -c 'write -P 7 4M 100k' image >/dev/null
    contents image "$1" "$T/model"
}

for options in compat=0.10 cluster_size=4k,refcount_bits=8 extended_l2=on; do
    overlay qcow2 $options
    crash "another image, $options" "$IMG" rebase -b new -F raw image -- content image qcow2 "$T/model"
done
overlay qcow2 cluster_size=64k
crash "no image" "$IMG" rebase -b "" image -- content image qcow2 "$T/model"
overlay qcow2 cluster_size=64k
crash "compressed" "$IMG" rebase -c -b new -F raw image -- content image qcow2 "$T/model"
overlay qed cluster_size=64k
crash "qed" "$IMG" rebase -f qed -b new -F raw image -- content image qed "$T/model"

# The name alone: of an image that shows the same. Header, extensions and name do not fit into one
# sector, and move when the format's extension comes or goes or something comes before the name.
far=$(printf './%.0s' {1..450})
for options in cluster_size=64k compat=0.10,cluster_size=1k cluster_size=512; do
    for steps in "old other" "other ${far:0:100}old" "${far}other old" "${far}other ${far}old"; do
        case $options-$steps in *=512-*././*) continue ;; esac # no room for such a name
        overlay qcow2 $options
        cp old other
        "$REF" rebase -u -b "${steps% *}" -F qcow2 image
        crash "a name, $options, ${#steps}" "$IMG" rebase -u -b "${steps#* }" -F qcow2 image -- \
            content image qcow2 "$T/model"
    done
done
overlay qcow2 cluster_size=64k
crash "a bitmap" "$IMG" bitmap --add image b -- content image qcow2 "$T/model"
overlay qcow2 compat=0.10
crash "another version" "$IMG" amend -o compat=1.1 image -- content image qcow2 "$T/model"
overlay qcow2 cluster_size=64k
crash "an old version" "$IMG" amend -o compat=0.10 image -- content image qcow2 "$T/model"

overlay qcow2 cluster_size=64k
crash_unsynced "unsynced" "$IMG" rebase -b new -F raw image -- content image qcow2 "$T/model"
finish
