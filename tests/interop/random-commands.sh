# Random sequences of everything that changes a qcow2 (writes, zeros, discards, snapshots, resize,
# commit, rebase, bitmaps), ours on one image, the original's on another, and on a plain model: after
# each step all three read the same, both programs said the same, and neither check finds a fault.
#
#   STEPS=1000   how many for each kind of image (25); SEED=N begins elsewhere; STORM=OPTIONS only one
#   kind. The last steps before a fault stand below it.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_reference
scratch 400
STEPS=${STEPS:-25}

# ---- one step on both ------------------------------------------------------------------------------

# both VERB ARGS...: by each program in its own folder; they must agree on the outcome and the words.
both() {
    echo "  both $*" >>"$T/steps"
    local rc_ours=0 rc_theirs=0
    (cd "$T/ours" && "$IMG" "$@") >"$T/ours.said" 2>&1 </dev/null || rc_ours=$?
    (cd "$T/theirs" && "$REF" "$@") >"$T/theirs.said" 2>&1 </dev/null || rc_theirs=$?
    sed -i "s/^$(basename "$IMG"): /qemu-img: /; s/#block[0-9]*/#block/" "$T/ours.said" "$T/theirs.said"
    done_well=$rc_theirs
    [ "$rc_ours" = "$rc_theirs" ] || bad "$step: $*: exit $rc_ours, the original's is $rc_theirs:" \
        "$(cat "$T/ours.said" "$T/theirs.said")"
    cmp -s "$T/ours.said" "$T/theirs.said" ||
        bad "$step: $*: other words: $(diff "$T/ours.said" "$T/theirs.said")"
    [ "$done_well" = 0 ]
}

# both_io COMMAND: the same guest request to both, by qemu-io, as a running guest makes it.
both_io() {
    echo "  both_io $1" >>"$T/steps"
    "$REF_IO" -f qcow2 -c "$1" "$T/ours/top" >"$T/io" 2>&1 || bad "$step: $1 (ours): $(cat "$T/io")"
    "$REF_IO" -f qcow2 -c "$1" "$T/theirs/top" >"$T/io" 2>&1 || bad "$step: $1: $(cat "$T/io")"
}

# draw N: a number below N in $drawn. (Not on stdout: a subshell would begin its own sequence.)
draw() {
    drawn=$(((RANDOM << 15 | RANDOM) % $1))
}

# draw_from WORDS...
draw_from() {
    draw $#
    shift $drawn
    drawn=$1
}

# ---- the model -------------------------------------------------------------------------------------

# fill PATTERN OFFSET LENGTH
fill() {
    perl -e '
        open(my $f, "+<", $ARGV[0]) or die; seek($f, $ARGV[2], 0); print $f chr($ARGV[1]) x $ARGV[3]' \
        "$T/model" "$1" "$2" "$3"
}

pick_range() {
    local size
    size=$(stat -c %s "$T/model")
    draw 200
    length=$((512 * (1 + drawn)))
    draw 3
    [ $drawn != 0 ] || length=$((length * 8))
    [ $length -le "$size" ] || length=$size
    draw $(((size - length) / 512 + 1))
    offset=$((512 * drawn))
}

# ---- steps -----------------------------------------------------------------------------------------

step_write() {
    pick_range
    draw 255
    local pattern=$((1 + drawn))
    fill $pattern $offset $length
    draw 2
    if [ $drawn = 0 ]; then
        both_io "write -q -P $pattern $offset $length"
    else # by ours into ours: requests of one sector to the whole range
        (cd "$T/ours" && "$IMG" bench -q -w -f qcow2 --pattern $pattern -o $offset -s $length -c 1 top) \
            >"$T/io" 2>&1 || bad "$step: bench -w: $(cat "$T/io")"
        "$REF_IO" -f qcow2 -c "write -q -P $pattern $offset $length" "$T/theirs/top" >/dev/null
    fi
}

step_zero() {
    pick_range
    fill 0 $offset $length
    draw_from -z "-z -u"
    both_io "write -q $drawn $offset $length"
}

# What is discarded reads as zeros where a cluster is gone as a whole, as before where it is not: a
# discard of both, then the model follows the original.
step_discard() {
    pick_range
    both_io "discard -q $offset $length"
    follow
}

follow() {
    "$REF" convert -f qcow2 -O raw "$T/theirs/top" "$T/model"
}

snapshot_names() {
    "$REF" info --output=json -f qcow2 "$T/theirs/top" | jq -r '.snapshots[]?.name'
}

step_snapshot_create() {
    serial=$((serial + 1))
    both snapshot -c "s$serial" top || return 0
    cp --sparse=always "$T/model" "$T/saved.s$serial"
}

step_snapshot_apply() {
    local name
    draw_from $(snapshot_names) none
    name=$drawn
    both snapshot -a "$name" top || return 0
    if [ -e "$T/saved.$name" ]; then
        cp --sparse=always "$T/saved.$name" "$T/model"
    else
        follow
    fi
}

step_snapshot_delete() {
    local name
    draw_from $(snapshot_names) none
    name=$drawn
    both snapshot -d "$name" top || return 0
    rm -f "$T/saved.$name"
}

step_resize() {
    draw 60
    local size=$((65536 * (20 + drawn)))
    # over a longer backing image the original cannot make an old one larger, ours can
    [[ $step == *0.10* ]] && [ $size -gt "$(stat -c %s "$T/model")" ] && return 0
    both resize --shrink -f qcow2 top $size || return 0
    truncate -s $size "$T/model"
}

# What a snapshot leaves to the backing image is not kept when that changes.
step_commit() {
    both commit -f qcow2 top || return 0
    rm -f "$T"/saved.*
}

# Safe: the image reads as before through whatever is below it.
step_rebase() {
    draw_from base other
    both rebase -f qcow2 -F qcow2 -b $drawn top || return 0
    rm -f "$T"/saved.*
}

step_bitmap() {
    local name from
    draw 4
    name=b$drawn
    draw 4
    from=b$drawn
    draw 10
    local bits=$drawn
    draw 6
    case $drawn in
    0 | 1) both bitmap -f qcow2 --add -g $((512 << bits)) top "$name" || true ;;
    2) both bitmap -f qcow2 --remove top "$name" || true ;;
    3) both bitmap -f qcow2 --clear top "$name" || true ;;
    4) both bitmap -f qcow2 --disable top "$name" || true ;;
    5) both bitmap -f qcow2 --merge "$from" top "$name" || true ;;
    esac
}

one_step() {
    draw 20
    case $drawn in
    0 | 1 | 2 | 3 | 4 | 5) step_write ;;
    6 | 7) step_zero ;;
    8) step_discard ;;
    9 | 10 | 11) step_snapshot_create ;;
    12) step_snapshot_apply ;;
    13 | 14) step_snapshot_delete ;;
    15) step_resize ;;
    16) step_commit ;;
    17) step_rebase ;;
    18 | 19) step_bitmap ;;
    esac
}

# ---- after each ------------------------------------------------------------------------------------

# What info tells of it, without times and sizes on the host.
told() {
    "$REF" info --output=json -f qcow2 "$1" |
        jq -S '{size: ."virtual-size", bitmaps: ."format-specific".data.bitmaps,
            snapshots: [.snapshots[]? | {id, name}], backing: ."backing-filename"}'
}

agree() {
    checked
    "$REF" check -q -f qcow2 "$T/ours/top" >"$T/io" 2>&1 || bad "$step: the original finds: $(head -n 5 "$T/io")"
    "$IMG" check -q -f qcow2 "$T/ours/top" >"$T/io" 2>&1 || bad "$step: ours finds: $(head -n 5 "$T/io")"
    "$REF" compare -q -f qcow2 -F raw "$T/ours/top" "$T/model" || bad "$step: ours is not the model"
    "$IMG" compare -q -f qcow2 -F qcow2 "$T/ours/top" "$T/theirs/top" || bad "$step: the two differ"
    [ "$(told "$T/ours/top")" = "$(told "$T/theirs/top")" ] ||
        bad "$step: info: $(diff <(told "$T/ours/top") <(told "$T/theirs/top"))"
}

storm() {
    local options=$1 n name
    [ -z "${STORM:-}" ] || [ "$STORM" = "$options" ] || return 0
    RANDOM=${SEED:-7}
    rm -rf "$T/ours" "$T/theirs" "$T"/saved.*
    mkdir "$T/ours" "$T/theirs"
    rm -f "$T/model"
    truncate -s 3M "$T/model"
    put "$T/model" 300000 noise 500000 5
    for name in base other; do
        "$REF" convert -f raw -O qcow2 -o "$options" "$T/model" "$T/ours/$name"
        cp "$T/ours/$name" "$T/theirs/$name"
        put "$T/model" 900000 noise 300000 6
    done
    (cd "$T/ours" && "$REF" create -q -f qcow2 -o "$options" -b base -F qcow2 top)
    cp "$T/ours/top" "$T/theirs/top"
    serial=0
    follow
    for ((n = 1; n <= STEPS; n++)); do
        step="$options, step $n"
        one_step
        agree
        [ $failures = 0 ] || fail "the last steps:" "$(tail -n 12 "$T/steps")"
    done
}

storm cluster_size=64k
storm cluster_size=512,refcount_bits=64
storm cluster_size=4k,refcount_bits=8
storm cluster_size=16k,extended_l2=on
storm cluster_size=4k,compat=0.10
storm cluster_size=2M,refcount_bits=32
finish
