# Sourced by tests of random chains: layers of random size, options and content.
# shellcheck shell=bash

# pick NAME WORD...: one of them, into that variable. (Not on stdout: a subshell draws numbers of its
# own, and no seed would bring a run back.)
pick() {
    local into=$1
    shift
    shift $((RANDOM % $#))
    printf -v "$into" %s "$1"
}

# A layer's size, in `size`: mostly that of the disk, else shorter, or longer.
pick_size() {
    pick size 8M 8M 8M 8M 3M 5000704 9M 8389120
}

# pick_options FORMAT: in `o`
pick_options() {
    o=
    case $1 in
    qcow2) pick o cluster_size=64k cluster_size=64k compat=0.10 cluster_size=512 cluster_size=4k \
        cluster_size=2M extended_l2=on extended_l2=on,cluster_size=16k lazy_refcounts=on ;;
    qed) pick o cluster_size=64k cluster_size=4k ;;
    esac
}

# scatter FORMAT FILE TIMES: random writes, zeros, discards
scatter() {
    local args=() i at length bytes
    bytes=$("$REF" info -U --output=json -f "$1" "$2" | jq '."virtual-size"')
    for ((i = 0; i < $3; i++)); do
        at=$((RANDOM * 512 % bytes))
        pick length 512 512 4096 40960 65536 131072 500224
        [ $((RANDOM % 3)) = 0 ] && at=$((at / 65536 * 65536))
        [ $((at + length)) -le "$bytes" ] || length=$(((bytes - at) / 512 * 512))
        [ "$length" -gt 0 ] || continue
        case $((RANDOM % 10)) in
        0) args+=(-c "write -z $at $length") ;;
        1) [ "$1" = qcow2 ] && args+=(-c "write -z -u $at $length") ;;
        2) [ "$1" = raw ] && args+=(-c "discard $at $length") ;;
        *) args+=(-c "write -P $((RANDOM % 4)) $at $length") ;;
        esac
    done
    "$REF_IO" -f "$1" "${args[@]}" "$2" >"$T/.io" 2>&1 || fail "qemu-io: $(cat "$T/.io")"
}

# layer NAME FORMAT [BACKING BACKING-FORMAT]: sizes of layers differ
layer() {
    local o size
    pick_options "$2"
    pick_size
    if [ $# = 4 ]; then
        "$REF" create -q -f "$2" ${o:+-o $o} -b "$3" -F "$4" "$1" "$size"
    else
        "$REF" create -q -f "$2" ${o:+-o $o} "$1" "$size"
    fi
    scatter "$2" "$1" $((RANDOM % 10 + 2))
}
