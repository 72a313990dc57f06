#!/bin/bash
# Random sequences of bitmap's actions, of writes and of sizes, by both programs: the same answers,
# and the same bitmaps, bit for bit, as the original sees them; they go into copies as they are.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/servers.sh"
. "$TESTS/formats/bitmaps.bash"
need_bitmaps
need_ours
scratch 200
cd "$T"

draw() {
    echo $((RANDOM % $1))
}
pick() {
    shift $((RANDOM % $#))
    echo "$1"
}

# both ARGS...: the same command by both, each beside its own image.
both() {
    local rc_ref=0
    (cd theirs && "$REF" "$@") >theirs.out 2>&1 </dev/null || rc_ref=$?
    rc=0
    (cd ours && "$IMG" "$@") >ours.out 2>&1 </dev/null || rc=$?
    checked
    sed -i 's/^mpi-img:/qemu-img:/; s/#block[0-9]*/#blockNNN/' ours.out theirs.out
    [ $rc = $rc_ref ] || bad "exit $rc, not $rc_ref: $*"
    diff -u theirs.out ours.out >.diff && return
    bad "other words: $*"
    cat .diff >&2
}

names="one two three four"
actions() {
    local args=() i
    for i in $(seq $((1 + RANDOM % 3))); do
        case $(draw 8) in
        0 | 1) args+=(--add -g $((512 << RANDOM % 14))) ;;
        2) args+=(--clear) ;;
        3) args+=("$(pick --enable --disable)") ;;
        4) args+=(--remove) ;;
        *)
            args+=(--merge "$(pick $names)")
            [ "$(draw 3)" = 0 ] && args+=(-b before)
            ;;
        esac
    done
    for folder in ours theirs; do cp $folder/image $folder/before; done
    both bitmap "${args[@]}" image "$(pick $names)"
}

write_some() {
    local args=() i
    for i in $(seq $((1 + RANDOM % 4))); do
        local at=$(((RANDOM << 9 | RANDOM % 512) % (size - 70000))) len=$((1 + RANDOM * 2))
        args+=(-c "$(pick write "write -z" "write -z -u" discard) $at $len")
    done
    for folder in ours theirs; do "$REF_IO" "${args[@]}" $folder/image >/dev/null; done
}

other_size() {
    size=$((size + 512 * (RANDOM % 8000) - 512 * 3000))
    size=$((size < 1 << 20 ? 1 << 20 : size))
    both resize -q --shrink image $size
}

for options in cluster_size=64k cluster_size=512 cluster_size=4k,refcount_bits=1 \
    cluster_size=16k,extended_l2=on cluster_size=2M; do
    RANDOM=7 size=8M
    rm -rf ours theirs
    mkdir ours theirs
    for folder in ours theirs; do "$REF" create -q -f qcow2 -o $options $folder/image $size; done
    size=$((8 << 20))
    both bitmap --add -g 4k image one
    for step in $(seq 15); do
        case $(draw 7) in
        0 | 1) write_some ;;
        2) other_size ;;
        *) actions ;;
        esac
        image_clean ours/image
        [ $((step % 5)) = 0 ] || continue
        bitmaps_same "$options, step $step" ours/image theirs/image || break
        good "$IMG" convert --bitmaps -O qcow2 ours/image copy
        bitmaps_same "$options, step $step, a copy" ours/image copy || break
    done
done
finish
