# Sourced by edit.sh of formats whose images can be changed in place: ours and the original take
# turns on one image, a raw model has the same done to it, and both find it as it should be.
# shellcheck shell=bash

EDIT_SIZE=6M

# agrees WHEN FORMAT: both read the image as the model, and no check finds anything.
agrees() {
    checked
    "$REF" compare -q -f raw -F "$2" model image || bad "$1: the original reads something else"
    good "$IMG" compare -q -f raw -F "$2" model image
    local rc=0 tool
    for tool in "$REF" "$IMG"; do
        rc=0
        "$tool" check -f "$2" image >.said 2>&1 || rc=$?
        case $rc in 0 | 63) ;; *) bad "$1: check of $tool ends with $rc: $(head -n 3 .said)" ;; esac
    done
}

# both FORMAT IMAGE COMMAND...: the original does it to the image and to the model.
both() {
    local format=$1 image=$2 list=() c
    shift 2
    for c; do
        list+=(-c "$c")
    done
    "$REF_IO" -f "$format" "${list[@]}" "$image" >/dev/null
    "$REF_IO" -f raw "${list[@]}" model >/dev/null
}

# turns NAME FORMAT: on `image` and `model`, which agree.
turns() {
    local name=$1 f=$2 round
    for round in 1 2 3; do
        put model $((round * 300000 - 77)) noise 700001 "$round"
        put model $((4000000 + round * 65536)) zero 500000
        "$REF_IO" -f raw -c "write -P $round $((round * 17))k 3k" model >/dev/null
        good "$IMG" convert -n -f raw -O "$f" model image
        agrees "$name, convert -n $round" "$f"
        both "$f" image "write -P 1$round 100k $((round * 50))k" "write -z ${round}500k 300k" \
            "write -P 2$round 5${round}00k 4k" "write -P 3$round $((4 + round % 2))M 512"
        agrees "$name, the original $round" "$f"
        "$REF" create -q -f qcow2 -b image -F "$f" top
        both qcow2 top "write -P 4$round $((round * 1111))k 33k" "write -P 5$round 5900k 100k" \
            "write -z 2000k $((round * 64))k"
        good "$IMG" commit -q top
        agrees "$name, commit $round" "$f"
    done
}

# storm FORMAT [OPTIONS]: from an empty image on.
storm() {
    rm -f model image
    truncate -s $EDIT_SIZE model
    "$REF" create -q -f "$1" ${2:+-o "$2"} image $EDIT_SIZE
    turns "$1 ${2:-}" "$1"
}

# over_base FORMAT: from an image on that has nothing but a backing image.
over_base() {
    rm -f model image base
    truncate -s $EDIT_SIZE base
    put base 200000 noise 3000000 9
    cp base model
    "$REF" create -q -f "$1" -b base -F raw image
    turns "$1 over a base" "$1"
    cmp -s base <(pattern zero 200000; pattern noise 3000000 9; pattern zero $((6 * 1048576 - 3200000))) ||
        bad "$1: the base was written to"
    # and down into it
    both "$1" image "write -P 99 300k 20k"
    good "$IMG" commit -q -f "$1" image
    checked
    cmp -s base model || bad "$1: commit left the base different"
    agrees "$1, after its commit" "$1"
}
