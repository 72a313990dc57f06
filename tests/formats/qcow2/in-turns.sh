# Ours and the original take turns at one image: writes, snapshots made, applied and deleted, sizes.
# After each step the check finds nothing, and state and snapshots read as a plain model.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
need_reference
need_ours
scratch 200
STEPS=${STEPS:-14}
RANDOM=${SEED:-7}
cd "$T"

now() {
    truncate -s "$size" model
}

# Either program, by turns; writes are the original's.
either() {
    local program=$IMG
    [ $((RANDOM % 2)) = 0 ] || program=$REF
    who=${program##*/}
    good "$program" "$@" || true
}

write() {
    local at=$((RANDOM * 512 % size)) bytes=$(((RANDOM % 300 + 1) * 512)) byte=$((RANDOM % 255 + 1))
    ((bytes <= size - at)) || bytes=$((size - at))
    step="write $byte at $at, $bytes"
    good "$REF_IO" -c "write -P $byte $at $bytes" image || true
    perl -e 'print chr($ARGV[0]) x $ARGV[1]' $byte $bytes |
        dd of=model bs=1M seek=$at oflag=seek_bytes conv=notrunc status=none
}

create() {
    local name=s$turn
    step="snapshot -c $name"
    either snapshot -c $name image
    cp model $name.model
    names+=($name)
}

pick() {
    at=$((RANDOM % ${#names[@]}))
    name=${names[at]}
}

apply() {
    pick
    step="snapshot -a $name"
    either snapshot -a $name image
    cp $name.model model
    size=$(stat -c %s model)
}

delete() {
    pick
    step="snapshot -d $name"
    either snapshot -d $name image
    names=("${names[@]:0:at}" "${names[@]:at+1}")
}

# The original shows old data where an image grows again inside of a cluster, and does not zero what
# a version 2 image sees of its backing image: then it is ours who resizes.
resize() {
    local had=$size
    size=$(((RANDOM % 8000 + 1) * 512))
    step="resize $size"
    good "$IMG" resize -q --shrink image $size || true
    if ((size > had)) && ((RANDOM % 3 == 0)); then
        truncate -s $had model
        step="$step, then +1M reserved"
        now
        size=$((size + 1048576))
        good "$IMG" resize -q --preallocation=metadata image +1M || true
    fi
    now
}

verify() {
    local name
    checked
    "$REF" check -q image >check.out 2>&1 || { bad "$options: $step ($who): $(head -n 3 check.out)"; return 1; }
    "$IMG" check -q image >check.out 2>&1 || { bad "$options: $step ($who): ours: $(head -n 3 check.out)"; return 1; }
    "$REF" convert -O raw image got
    cmp -s got model || { bad "$options: $step ($who): the state reads otherwise"; return 1; }
    for name in "${names[@]}"; do
        "$IMG" convert -l $name -O raw image got
        cmp -s got $name.model || { bad "$options: $step ($who): $name reads otherwise"; return 1; }
    done
}

storm() {
    options=$1
    names=()
    size=$((3 * 1048576 + 512))
    rm -f model
    now
    "$REF" create -q -f qcow2 -o "$options" image $size
    for ((turn = 0; turn < STEPS; turn++)); do
        who=
        write
        write
        case $((RANDOM % 5)) in
        0 | 1) [[ $options = *data_file* ]] || create ;;
        2) [ ${#names[@]} = 0 ] || apply ;;
        3) [ ${#names[@]} = 0 ] || delete ;;
        4) [[ $options = *0.10* && ${#names[@]} -gt 0 ]] || resize ;;
        esac
        verify || break
    done
}

for options in cluster_size=64k cluster_size=512,refcount_bits=8 cluster_size=2M \
    cluster_size=4k,refcount_bits=64 cluster_size=16k,extended_l2=on compat=0.10,cluster_size=4k \
    data_file=data data_file=data,data_file_raw=on; do
    storm $options
    rm -f data
done
finish
