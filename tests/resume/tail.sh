#!/bin/bash
# A journal that ends anywhere: each length of its last records, and any byte of them changed. What
# is whole is used, the rest is done again; the bytes are the same.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/resume/resume.bash"
need_ours
scratch 200
cd "$T"
guest source 9

# state_again NAME: as it was stopped; of a finished one the file is the part again.
state_again() {
    [ ! -e "$1" ] || mv "$1" "$1$PART"
    cp part "$1$PART"
    cp journal "$1$JOURNAL"
}

# resumed NAME WHAT ARGS...
resumed() {
    local name=$1 what=$2
    shift 2
    good "$IMG" convert --resume --threads 2 "$@" "$name" || return 0
    verdict "$name" "$name, $what"
}

tails() {
    local name=$1 percent=$2 size step len
    shift 2
    expected "$name" "$@" || return 0
    stopped_at "$percent" "$name" "$@"
    mv "$name$PART" part
    mv "$name$JOURNAL" journal
    size=$(stat -c %s journal)
    # the last two hundred lengths one by one, some of all others, and an empty one
    for ((len = size; len >= 0; len -= step)); do
        step=$((len > size - 200 ? 1 : 97))
        state_again "$name"
        truncate -s $len "$name$JOURNAL"
        resumed "$name" "journal of $len bytes" "$@"
    done
    for ((len = size - 1; len > 700; len -= 61)); do
        state_again "$name"
        patch_bytes "$name$JOURNAL" $len 5a
        patch_bytes "$name$JOURNAL" $((len - 1)) a5
        resumed "$name" "byte $len of the journal" "$@"
    done
    # bytes of another time behind the tear
    state_again "$name"
    tail -c 300 journal >>"$name$JOURNAL"
    resumed "$name" "records twice" "$@"
    rm -f "$name"*
}

tails image.qcow2 60 -O qcow2 source
tails packed.qcow2 20 -c -O qcow2 source
tails image.raw 60 -O raw source
finish
