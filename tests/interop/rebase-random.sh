#!/bin/bash
# rebase of random overlays in random chains: the content stays, the check finds nothing, and the
# original, which does the same to a copy, ends with the same content and the same name.
#
#   SEEDS="1 2 3" bash tests/interop/rebase-random.sh
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/random.bash"
need_reference
scratch 300
cd "$T"
SEEDS=${SEEDS:-$(seq 1 25)}

formats="qcow2 qcow2 qcow2 qed"
"$REF" create -q -f qed probe 64k
try "$IMG" rebase -u -f qed probe
[ $rc = 0 ] || formats=qcow2 # qed is not written in place yet

# chain NAME LENGTH: NAME.0 below, each in the one above; sets top and its format
chain() {
    local i below format
    pick format raw qcow2 qcow2 qed
    layer "$1.0" "$format"
    for ((i = 1; i < $2; i++)); do
        below=$format
        pick format qcow2 qcow2 qed
        layer "$1.$i" "$format" "$1.$((i - 1))" "$below"
    done
    top=$1.$(($2 - 1)) top_format=$format
}

# rebased NAME PROGRAM WORD...: a copy of the overlay
rebased() {
    local name=$1
    shift
    cp overlay "$name"
    try "$@" -f "$format" -b "$new" ${new_format:+-F "$new_format"} "$name"
    [ $rc = 0 ] || bad "$what: exit $rc: $(cat "$T/.err")"
    [ ! -s "$T/.err" ] || bad "$what: says $(cat "$T/.err")"
}

same() {
    "$REF" compare -q -U -f "$2" -F raw "$3" before || bad "$what: $1 reads otherwise"
}

for seed in $SEEDS; do
    RANDOM=$seed
    rm -f -- old.* new.* overlay
    chain old $((RANDOM % 3 + 1))
    old=$top old_format=$top_format
    pick format $formats
    if [ $((RANDOM % 6)) = 0 ]; then
        layer overlay "$format"
    else
        layer overlay "$format" "$old" "$old_format"
    fi
    case $((RANDOM % 6)) in
    0) new='' new_format='' ;;
    1) new=old.0 new_format=$("$REF" info --output=json old.0 | jq -r .format) ;; # lower in its own chain
    2) # one that shares the base
        layer new.s qcow2 "$old" "$old_format"
        new=new.s new_format=qcow2
        ;;
    *)
        chain new $((RANDOM % 3 + 1))
        new=$top new_format=$top_format
        ;;
    esac
    what="seed $seed, $format on ${new:-nothing}"
    checked
    "$REF" convert -f "$format" -O raw overlay before
    how=
    is_reference || pick how "" "" --engine=serial --threads=2 --memory=4M
    if [ $format != qed ] && ! is_reference; then
        pick newer "" "" " -c"
        how+=$newer
    fi
    what+=$how
    # shellcheck disable=SC2086  # words
    rebased ours "$IMG" rebase $how
    rebased theirs "$REF" rebase
    same ours "$format" ours
    "$REF" check -q -f "$format" ours || bad "$what: check finds fault"
    "$REF" compare -q -U -f "$format" -F raw theirs before || echo "note: $what: the original's reads otherwise"
    for name in ours theirs; do
        "$REF" info -U -f "$format" --output=json $name |
            jq -S '[."backing-filename", ."backing-filename-format"]' >$name.names
    done
    diff -u theirs.names ours.names >&2 || bad "$what: another name"
done
finish
