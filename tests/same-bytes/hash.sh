#!/bin/bash
# A guest's hash is one on any engine, any number of threads and ranks, and of any format; chunks
# are read back by another rank than the one that wrote them.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
. "$TESTS/subformats.bash"
need_mpi
scratch 900
guest "$T/guest"
cd "$T"

# word FILE: the hash, the first word.
word() {
    cut -d' ' -f1 "$1"
}

# one HASH NAME ARGS...: on every engine SUBCOMMAND prints that hash.
one() {
    local want=$1 name=$2 engine
    shift 2
    for engine in "${engines[@]}"; do
        rm -rf out.img out-* # members too
        good on "$engine" "$@" || continue
        [ "$(word .out)" = "$want" ] || bad "$name: $engine has another hash"
    done
}

try "$IMG" hash -f raw guest
want=$(word .out)
one "$want" "the source" hash -f raw guest
one "$("$IMG" hash -f raw --algorithm md5 --block-size 512 guest | cut -d' ' -f1)" \
    "the source, in sectors" hash -f raw --algorithm md5 --block-size 512 guest
one "$("$IMG" hash -f raw --block-size 4M guest | cut -d' ' -f1)" \
    "the source, in blocks larger than a chunk" convert --hash=sha256/4M -f raw -O qcow2 guest out.img

while read -r name format options; do
    # shellcheck disable=SC2086  # words
    one "$want" "$name" convert --hash --verify -f raw -O "$format" $options guest out.img
    # shellcheck disable=SC2046  # words
    try "$IMG" hash $(opened "$name" "$format" out.img)
    checked
    case $format in
    # the disk has whole cylinders: it is longer
    vpc) [ "$(word .out)" != "$want" ] || bad "$name has not grown" ;;
    *) [ "$(word .out)" = "$want" ] || bad "$name holds something else" ;;
    esac
done < <(subformats)

# who wrote, who reads back: the trace points of rank 0
for n in 2 3; do
    rm -f out.img
    try ranks $n "$IMG" -T unit_given convert --threads 2 --verify -f raw -O qcow2 guest out.img
    checked
    [ $rc = 0 ] || bad "with a trace: exit $rc"
    sed -n 's/.*:unit_given unit \([0-9]*\) rank \([0-9]*\) .*/\1 \2/p' .err >given
    [ -s given ] || bad "no units in the trace"
    # what turned out to be zeros is not there to be read back
    awk '{ if ($1 in by) { again++; same += by[$1] == $2 }; by[$1] = $2 }
        END { exit same || again < 10 }' given ||
        bad "$n ranks: chunks are read back by the rank that wrote them, or not at all"
done
finish
