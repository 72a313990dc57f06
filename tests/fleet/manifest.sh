#!/bin/bash
# What is wrong with a manifest is told as a whole, with its lines, before anything is done; CSV and
# JSON lines say the same; standard input is a manifest too.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
scratch 100
cd "$T"
small 4
mkdir out shut
shopt -s extglob

# -- all errors at once ---------------------------------------------------------------------------
cat >bad.jsonl <<'END'
{"source":"in/0.raw","target":"out/0","target_format":"vmdq"}
{"source":"in/0.raw","target":"out/1","compres":true}

{"source":"in/nope","target":"out/2","options":"size"}
{"source":"in/0.raw"}
{"source":"in/0.raw","target":"out/3"}
{"source":"in/1.qcow2","target":"./out/3","sparse_size":"77"}
{"source":"in/1.qcow2","target":"in/0.raw"}
{"source":"in/0.raw","target":"out/4","target_format":"qcow2","options":{"cluster_size":"x"}}
{"source":"in/0.raw","target":"out/5","target_format":"qcow2","backing_file":"6","backing_format":"qcow2"}
{"source":"in/0.raw","target":"out/6","target_format":"qcow2","backing_file":"5","backing_format":"qcow2"}
END
try "$IMG" fleet bad.jsonl
ended 1
said "bad.jsonl:1: target_format: Unknown file format 'vmdq'"
said "bad.jsonl:2: Unknown field 'compres'"
said "bad.jsonl:4: The source '$T/in/nope' is not there"
said "bad.jsonl:5: The field 'target' is missing"
said "bad.jsonl:7: sparse_size: Invalid buffer size for sparse output specified. Valid sizes are"
said "bad.jsonl:7: The target '$T/./out/3' is also that of line 6"
said "bad.jsonl:2: The source '$T/in/0.raw' is the target of line 8"
said "bad.jsonl:9: Parameter 'cluster_size' expects a non-negative number below 2^64"
said "bad.jsonl:10: The target '$T/out/5' is backed by itself, in a circle"
said "errors: nothing was done"
checked
[ -z "$(ls out)" ] && [ ! -e bad.jsonl.results ] || bad "something was done"

# -- bounded --------------------------------------------------------------------------------------
for ((i = 0; i < 3000; i++)); do echo "{\"source\":\"x\",\"target\":\"out/$i\"}"; done >many.jsonl
try "$IMG" fleet many.jsonl
ended 1
said "The manifest has 3000 errors, the first are above: nothing was done"
checked
[ "$(wc -l <.err)" = 21 ] || bad "$(wc -l <.err) lines for 3000 errors"

# -- a folder that may not be written -------------------------------------------------------------
if chmod 555 shut && ! touch shut/x 2>/dev/null; then
    echo '{"source":"in/0.raw","target":"shut/0"}' >shut.jsonl
    try "$IMG" fleet shut.jsonl
    ended 1
    said "shut.jsonl:1: The target's folder '$T/shut' is not writable"
else
    echo "not tried: a folder that is not writable (this is root)"
fi

# -- CSV ------------------------------------------------------------------------------------------
cat >same.jsonl <<'END'
{"source":"in/0.raw","target":"out/a, b","target_format":"qcow2","compress":true,"compression_level":3}
{"source":"in/1.qcow2","target":"out/say \"c\"","options":"preallocation=off,size=1M","hash":"sha1/4k"}
{"source":"in/2.qcow2","target":"out/d","verify":true,"target_format":"vmdk"}
END
cat >same.csv <<'END'
target,source,target_format,compress,compression_level,options,hash,verify
"out/a, b",in/0.raw,qcow2,yes,3,,,
"out/say ""c""",in/1.qcow2,,,,"preallocation=off,size=1M",sha1/4k,
out/d,in/2.qcow2,vmdk,off,,,,1
END
sed 's/$/\r/' same.csv >crlf.csv
good "$IMG" fleet --dry-run same.jsonl && sed 's/^ *[0-9]*//' .out >jsonl.plan
for name in same.csv crlf.csv; do
    good "$IMG" fleet --dry-run $name && sed 's/^ *[0-9]*//' .out >csv.plan
    checked
    cmp jsonl.plan csv.plan || bad "$name is planned otherwise than the lines of JSON"
done
good "$IMG" fleet --dry-run - <same.csv || true
checked
rc=0
"$IMG" fleet --dry-run - <same.csv >.out 2>.err || rc=$?
ended 0
said "3 images: 3 to do"

printf 'source,target\nin/0.raw,out/x\nin/1.qcow2\n"in/2.qcow2,out/z\n' >bad.csv
try "$IMG" fleet bad.csv
ended 1
said "bad.csv:3: It has 1 cells, the first line has 2"
said "bad.csv:4: A quote is not closed"

# -- the command line ------------------------------------------------------------------------------
try "$IMG" fleet
ended 1
said "A manifest must be given, or --from and --to"
try "$IMG" fleet --from in
said "--from requires use of --to"
try "$IMG" fleet --to out same.jsonl
said "--to and --glob require use of --from"
try "$IMG" fleet same.jsonl same.csv
said "Only one manifest can be given"
try "$IMG" fleet nowhere.jsonl
said "Could not open the manifest 'nowhere.jsonl': No such file or directory"
try "$IMG" fleet --results same.csv same.jsonl
said "'same.csv' is no results file of a fleet"
try "$IMG" fleet -O vmdq same.jsonl
said "target_format: Unknown file format 'vmdq'"
finish
