#!/bin/bash
# The results file: torn by a crash it is used up to the tear; two fleets do not write it at once;
# a chain is made in its order, and what waits for a failure fails with that reason.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
scratch 200
cd "$T"
small 8
manifest out >m.jsonl

# -- torn -----------------------------------------------------------------------------------------
good "$IMG" fleet --engine serial m.jsonl
size=$(stat -c %s m.jsonl.results)
for cut in 5 400 900; do
    cp m.jsonl.results torn
    truncate -s $((size - cut)) torn
    whole=$(head -n "$(wc -l <torn)" torn | grep -c '"status":"done"' || true)
    good "$IMG" fleet --results torn m.jsonl
    said "$whole of 8 images were done by an earlier run"
    checked
    perl -ne 'exit 1 unless /^\{.*\}$/' torn || bad "cut by $cut: a torn line is left"
    rm torn
    "$IMG" fleet -q --results m.new m.jsonl # as the first results have it
    mv m.new m.jsonl.results
    size=$(stat -c %s m.jsonl.results)
done

# -- two at once ----------------------------------------------------------------------------------
rm -rf out m.jsonl.results
mkdir out
"$IMG" fleet -r 500k m.jsonl >first.out 2>&1 &
first=$!
for ((i = 0; i < 100; i++)); do [ -s m.jsonl.results ] && break; sleep 0.05; done
try "$IMG" fleet m.jsonl
ended 1
said "Another fleet is writing the results 'm.jsonl.results'"
kill -TERM $first
wait $first || rc=$?
checked
[ "$rc" = 75 ] || bad "the first ended with $rc when it was stopped"
good "$IMG" fleet m.jsonl
said "8 images: "
for f in in/*; do
    good "$IMG" compare "$f" out/"$(basename "$f")".*
done

# -- chains ---------------------------------------------------------------------------------------
cat >chain.jsonl <<'END'
{"source":"in/0.raw","target":"out/c.qcow2","target_format":"qcow2","backing_file":"b.qcow2","backing_format":"qcow2"}
{"source":"in/0.raw","target":"out/b.qcow2","target_format":"qcow2","backing_file":"a.qcow2","backing_format":"qcow2"}
{"source":"in/0.raw","target":"out/a.qcow2","target_format":"qcow2"}
END
good "$IMG" fleet chain.jsonl
good "$IMG" compare in/0.raw out/c.qcow2
checked
[ "$(field target <chain.jsonl.results | sed 's,.*/,,' | tr -d '"\n')" = a.qcow2b.qcow2c.qcow2 ] ||
    bad "another order: $(field target <chain.jsonl.results)"

sed '3s|in/0.raw|in/broken|' chain.jsonl >broken.jsonl
printf 'QFI\373\0\0\0\3 no image' >in/broken
try "$IMG" fleet broken.jsonl
ended 1
said "3 images: 0 done, 3 failed"
finish
