#!/bin/bash
# Fifty small images on one rank and on three: each is, byte for byte, what convert makes of it, and
# the results tell of it. A folder instead of a manifest does the same.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
scratch 700
cd "$T"
export MPI_IMG_SEED=5
small 50

# -- one by one -----------------------------------------------------------------------------------
manifest one >one.jsonl
while read -r line; do
    target=$(sed 's/.*"target":"\([^"]*\)".*/\1/' <<<"$line")
    source=$(sed 's/.*"source":"\([^"]*\)".*/\1/' <<<"$line")
    format=$(sed -n 's/.*"target_format":"\([^"]*\)".*/\1/p' <<<"$line")
    packed=
    [[ $line != *'"compress":true'* ]] || packed=-c
    "$IMG" convert $packed -O "${format:-raw}" "$source" "$target"
done <one.jsonl

same() { # same FOLDER
    local f
    for f in one/*; do
        checked
        cmp "$f" "$1/$(basename "$f")" || bad "$1: $(basename "$f") is not what convert makes"
    done
    checked
    [ "$(ls one | wc -l)" = "$(ls "$1" | wc -l)" ] || bad "$1: $(ls "$1" | wc -l) files"
}

results() { # results FILE: one record for each of fifty images
    checked
    [ "$(records image "$1")" = 50 ] || bad "$1: $(records image "$1") records of images"
    [ "$(records run "$1")" = 1 ] && [ "$(records end "$1")" = 1 ] || bad "$1: not one run"
    [ "$(field status <"$1" | sort -u)" = '"done"' ] || bad "$1: not all are done"
    [ "$(field hash <"$1" | grep -vc null)" = 13 ] || bad "$1: not 13 hashes"
    perl -ne 'exit 1 unless /^\{.*\}$/' "$1" || bad "$1: a line that is no object"
}

# -- one rank, three ranks -------------------------------------------------------------------------
manifest threads >threads.jsonl
good "$IMG" fleet threads.jsonl
said "50 images: 50 done, 0 failed, 0 done before, 0 left"
same threads
results threads.jsonl.results

manifest serial >serial.jsonl
good "$IMG" fleet --engine serial --results serial.results serial.jsonl
same serial
results serial.results

if command -v mpirun >/dev/null; then
    manifest ranks >ranks.jsonl
    rc=0
    ranks 3 "$IMG" fleet --threads 2 ranks.jsonl >.out 2>.err || rc=$?
    ended 0
    said "50 images: 50 done, 0 failed, 0 done before, 0 left"
    same ranks
    results ranks.jsonl.results
fi

# large images are those from 1k on: spread, not whole
manifest spread >spread.jsonl
good "$IMG" fleet --whole-below 1k spread.jsonl
same spread
checked
grep -q '"spread":true' spread.jsonl.results || bad "none was spread"

# -- a folder -------------------------------------------------------------------------------------
mkdir in/deep && mv in/1.qcow2 in/deep
good "$IMG" fleet --from in --to tree --glob '*.qcow2' -O vmdk --results tree.results
checked
for f in tree/*.vmdk tree/deep/1.vmdk; do
    source=in/${f#tree/}
    good "$IMG" compare "${source%.vmdk}.qcow2" "$f"
done
[ "$(find tree -type f | wc -l)" = "$(find in -name '*.qcow2' | wc -l)" ] || bad "files are missing"
finish
