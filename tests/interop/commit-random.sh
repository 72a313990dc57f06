#!/bin/bash
# commit of random overlays into random chains, and convert -n over random images: the content is
# what it was, the check finds nothing, and the original, which does the same to a copy, ends with
# the same content in every image that is still of use.
#
#   SEEDS="1 2 3" bash tests/interop/commit-random.sh
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/random.bash"
need_reference
need jq
scratch 300
cd "$T"
SEEDS=${SEEDS:-$(seq 1 20)}

# The top is made anew out of compressed clusters.
compress_top() {
    local o
    pick o cluster_size=64k cluster_size=4k extended_l2=on compat=0.10
    "$REF" convert -c -O qcow2 -o "$o" -B "$1" -F "$2" top packed
    mv packed top
    scatter qcow2 top 2
}

# chain: `depth` images, 0 at the bottom, then top; formats[i]
chain() {
    local i
    depth=$((RANDOM % 3 + 1))
    formats=()
    pick "formats[0]" raw qcow2 qcow2 qed
    layer 0 "${formats[0]}"
    for ((i = 1; i < depth; i++)); do
        formats+=(qcow2)
        layer $i qcow2 $((i - 1)) "${formats[i - 1]}"
    done
    layer top qcow2 $((depth - 1)) "${formats[depth - 1]}"
    [ $((RANDOM % 3)) = 0 ] && compress_top $((depth - 1)) "${formats[depth - 1]}"
    [ $((RANDOM % 3)) = 0 ] && snapshots
    return 0
}

# In the base, and before more is written to the top.
snapshots() {
    "$REF" snapshot -c one top
    scatter qcow2 top 2
    if [ "${formats[depth - 1]}" = qcow2 ]; then
        "$REF" snapshot -c one $((depth - 1))
    fi
}

# Into which image; words for commit in `how`
choose() {
    base=$((depth - 1))
    case $((RANDOM % 3)) in
    0) how=() ;;
    1) how=(-d) ;;
    2) base=$((RANDOM % depth)) how=(-b "$base") ;;
    esac
}

# same NAME FORMAT: image NAME of both folders
same() {
    checked
    "$REF" compare -q -f "$2" -F "$2" "theirs/$1" "ours/$1" || bad "seed $seed, ${how[*]}: $1 differs"
    [ "$2" = raw ] || "$REF" check -q -f "$2" "ours/$1" || bad "seed $seed, ${how[*]}: check of $1: $?"
}

commit_both() {
    mkdir theirs ours
    cp --sparse=always ./[0-9] top theirs
    cp --sparse=always ./[0-9] top ours
    try env -C theirs "$REF" commit -q "${how[@]}" top
    local theirs=$rc
    original_cannot_grow && ours_grows && return 0
    try env -C ours "$IMG" commit -q "${how[@]}" top
    checked
    [ $rc = "$theirs" ] || bad "seed $seed, ${how[*]}: exit $rc, not $theirs: $(cat "$T/.err")"
    same $base "${formats[base]}"
    # what is between is of no use any more
    [ $base = $((depth - 1)) ] && same top qcow2
    return 0
}

# A base of version 2 that is shorter than the top and than its own backing file: what it grows by
# must read as zeros, which version 2 has no entry for. The original gives up; ours writes them.
original_cannot_grow() {
    [ "$theirs" != 0 ] && grep -q "Operation not supported" .err &&
        "$REF" info --output=json "$base" |
        jq -e '."format-specific".data.compat == "0.10" and (.snapshots | not)' >/dev/null
}

ours_grows() {
    try env -C ours "$IMG" commit -q "${how[@]}" top
    checked
    [ $rc = 0 ] || bad "seed $seed, ${how[*]}: exit $rc: $(cat "$T/.err")"
    "$REF" compare -q -f qcow2 -F qcow2 top "ours/$base" || bad "seed $seed, ${how[*]}: $base reads otherwise than top did"
    "$REF" check -q "ours/$base" || bad "seed $seed, ${how[*]}: check of $base: $?"
}

# The image that was the top is written over with the bottom's content.
overwrite() {
    local words=(-n -q) o
    [ $((RANDOM % 2)) = 0 ] && words+=(-c)
    [ $((RANDOM % 3)) = 0 ] && words+=(-S 64k)
    o="seed $seed, convert ${words[*]}"
    "$REF" create -q -f raw source 8M
    scatter raw source 6
    layer target qcow2 source raw
    "$REF_IO" -c "write -q -P 5 0 512" target
    [ "$("$REF" info --output=json target | jq '."virtual-size"')" -ge 8388608 ] || return 0
    good "$IMG" convert "${words[@]}" -f raw -O qcow2 source target || return 0
    checked
    "$REF" convert -f qcow2 -O raw target read
    cmp -n 8388608 source read || bad "$o: another content"
    "$REF" check -q target || bad "$o: check: $?"
}

for seed in $SEEDS; do
    RANDOM=$seed
    rm -rf theirs ours ./[0-9] top
    chain
    choose
    commit_both
    overwrite
done
finish
