#!/bin/bash
# The plan: sizes as measure has them, the order of chains, whole or spread, free space; nothing is
# written. A file system that cannot hold it is refused, by the plan and by the run.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
scratch 200
cd "$T"
small 4
mkdir out
"$IMG" create -q -f qcow2 in/big.qcow2 1T
cat >plan.jsonl <<'END'
{"source":"in/0.raw","target":"out/top.qcow2","target_format":"qcow2","backing_file":"base.qcow2","backing_format":"qcow2"}
{"source":"in/1.qcow2","target":"out/base.qcow2","target_format":"qcow2"}
{"source":"in/2.qcow2","target":"out/2.vhdx","target_format":"vhdx"}
{"source":"in/big.qcow2","target":"out/big.raw"}
END

good "$IMG" fleet --dry-run --whole-below 1k plan.jsonl
checked
sed '/^virtual/,$d' .out >table
head -1 table | grep -q '^line  image' || bad "no head"
for target in base.qcow2 big.raw; do
    source=$(sed -n "s|.*\"source\":\"\([^\"]*\)\",\"target\":\"out/$target.*|\1|p" plan.jsonl)
    "$IMG" measure -O "${target#*.}" "$source" >measured
    bytes=$(sed -n 's/^required size: //p' measured)
    shown=$(awk -v t="out/$target" '$2 == t { print $7, $8 }' table)
    checked
    perl -e '
        my %by = (B => 1, KiB => 1024, MiB => 1048576, GiB => 1 << 30, TiB => 1 << 40);
        my ($n, $unit) = split(" ", $ARGV[1]);
        exit(abs($n * $by{$unit} - $ARGV[0]) > $ARGV[0] / 100)' "$bytes" "$shown" ||
        bad "$target: measured $bytes, shown $shown"
done
checked
grep -qE '^ *1 .* 2$' table || bad "the chain is not shown"
checked
grep -qE '^ *3  out/2.vhdx .*~' table || bad "what cannot be measured is not marked"
said "4 images: 4 to do, 0 done before, 0 that cannot be made"
said "$T/out: needed"
checked
[ -z "$(ls out)" ] && [ ! -e plan.jsonl.results ] || bad "something was written"

# the same by ranks
if command -v mpirun >/dev/null; then
    ranks 3 "$IMG" fleet --dry-run --whole-below 1k --threads 2 plan.jsonl >ranks.out 2>ranks.err || cat ranks.err >&2
    checked
    grep -v 'free' ranks.out | cmp - <(grep -v 'free' .out) || bad "three ranks plan otherwise"
fi

# -- a source that is no image ----------------------------------------------------------------------
head -c 700 /dev/urandom >in/broken.qcow2
printf 'QFI\373\0\0\0\3' | dd of=in/broken.qcow2 conv=notrunc status=none
sed '3s,in/2,in/broken,' plan.jsonl >broken.jsonl
try "$IMG" fleet --dry-run broken.jsonl
ended 1
said "out/2.vhdx: Could not open '$T/in/broken.qcow2'"
said "4 images: 3 to do, 0 done before, 1 that cannot be made"
finish
