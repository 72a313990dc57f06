#!/bin/bash
# Text results (compare, map, check) are the same words in the same order on any engine.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_mpi
need_reference
scratch 900
guest "$T/guest"
truncate -s %512 "$T/guest"
"$REF" convert -f raw -O qcow2 -m 16 -W -o cluster_size=4k "$T/guest" "$T/image"
cp "$T/guest" "$T/other"
put "$T/other" 42000000 noise 100 99 # the first of three differences
put "$T/other" 43000000 noise 100 98
put "$T/other" 73000000 noise 100 97
cp "$T/image" "$T/damaged"
block=$(be "$T/damaged" "$(be "$T/damaged" 48 8)" 8)
patch_bytes "$T/damaged" $((block + 300)) 0007 # a leak
patch_bytes "$T/damaged" $((block + 1000)) 0000 # two errors
patch_bytes "$T/damaged" $((block + 4000)) 0000

# same_text NAME RC SUBCOMMAND ARGS...: one text, one exit code.
same_text() {
    local name=$1 want=$2 engine
    shift 2
    rm -f "$T/first"
    for engine in "${engines[@]}"; do
        try on "$engine" "$@"
        checked
        # what mpirun itself has to say about exit codes is not ours
        sed -i '/^-----/,/^-----/d; /^$/d' "$T/.err"
        [ $rc = "$want" ] || bad "$name on $engine: exit $rc, not $want"
        cat "$T/.out" "$T/.err" >"$T/text"
        [ -e "$T/first" ] || cp "$T/text" "$T/first"
        cmp -s "$T/text" "$T/first" || bad "$name: $engine says otherwise than ${engines[0]}"
    done
}

same_text "compare, equal" 0 compare -f raw -F qcow2 "$T/guest" "$T/image"
same_text "compare, different" 1 compare -f raw -F qcow2 "$T/other" "$T/image"
grep -q 'Content mismatch at offset 41999872!' "$T/text" || bad "not the first difference"
same_text "map" 0 map --output=json "$T/image"
same_text "map, human" 0 map "$T/image"
same_text "check" 0 check "$T/image"
same_text "check, damaged" 2 check "$T/damaged"
same_text "check, damaged, json" 2 check --output=json "$T/damaged"
finish
