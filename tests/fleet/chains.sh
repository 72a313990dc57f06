#!/bin/bash
# Overlays wait for what they stand on, however large either is and in whatever order the manifest
# has them; what stands on an image that failed is not made, and says why.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
scratch 300
cd "$T"
export MPI_IMG_SEED=7
mkdir in one many
truncate -s 12M in/base.raw
put in/base.raw 4096 noise 5000000 1
"$IMG" create -q -f qcow2 -b base.raw -F raw in/a.qcow2
"$IMG" create -q -f qcow2 -b a.qcow2 -F qcow2 in/b.qcow2
"$IMG" create -q -f qcow2 -b a.qcow2 -F qcow2 in/c.qcow2
"$IMG" dd -n -f raw -O qcow2 bs=64k count=3 if=in/base.raw of=in/a.qcow2 2>/dev/null || true
convert_overlay() { # NAME BACKING FORMAT
    good "$IMG" convert -O qcow2 -B "$2" -F "$3" "in/$1.qcow2" "one/$1.qcow2"
}
good "$IMG" convert -O qcow2 in/base.raw one/base.qcow2
convert_overlay a base.qcow2 qcow2
convert_overlay b a.qcow2 qcow2
convert_overlay c a.qcow2 qcow2
record() { # NAME BACKING MORE
    echo "{\"id\":\"$1\",\"source\":\"in/$1.qcow2\",\"target\":\"many/$1.qcow2\",\"target_format\":\"qcow2\",\"backing_file\":\"$2.qcow2\",\"backing_format\":\"qcow2\"$3}"
}
{
    record b a ',"hash":true,"verify":true'
    record c a ''
    record a base ',"hash":true'
    echo '{"id":"base","source":"in/base.raw","target":"many/base.qcow2","source_format":"raw","target_format":"qcow2"}'
} >m.jsonl

# ran WHAT CMD...
ran() {
    local what=$1 f
    shift
    rm -rf many m.jsonl.results
    mkdir many
    try "$@" m.jsonl
    ended 0
    for f in one/*; do
        checked
        cmp -s "$f" "many/${f##*/}" || bad "$what: ${f##*/} is not what convert makes"
    done
    good "$IMG" compare in/b.qcow2 many/b.qcow2
    checked
    case $(field id <m.jsonl.results | tr -d '\n') in
    '"base""a""b""c"' | '"base""a""c""b"') ;;
    *) bad "$what: in another order: $(field id <m.jsonl.results | tr '\n' ' ')" ;;
    esac
}
ran whole "$IMG" fleet --threads 4
ran "the base spread" "$IMG" fleet --threads 4 --whole-below 1M
ran "all spread" "$IMG" fleet --threads 4 --whole-below 1
if command -v mpirun >/dev/null; then
    ran "3 ranks" ranks 3 "$IMG" fleet --threads 2 --whole-below 1M
    ran "3 ranks, all spread" ranks 3 "$IMG" fleet --threads 2 --whole-below 1
fi

# -- the base cannot be made --------------------------------------------------------------------------
sed -i 's/"source_format":"raw"/"source_format":"qcow2"/' m.jsonl
rm -rf many m.jsonl.results
mkdir many
try "$IMG" fleet --threads 4 m.jsonl
ended 1
said "4 images: 0 done, 4 failed"
said "many/b.qcow2: The image that it is to stand on was not made: "
checked
[ "$(field attempts <m.jsonl.results | sort | tr -d '\n')" = 0001 ] || bad "what cannot stand was tried"
sed -i 's/"source_format":"qcow2"/"source_format":"raw"/' m.jsonl
try "$IMG" fleet --threads 4 m.jsonl
ended 0
said "4 images: 4 done"
finish
