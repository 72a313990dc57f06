#!/bin/bash
# Large images by their chunks beside small ones whole, from many formats into many formats, hashed
# and read back, on threads and on ranks: each is, byte for byte, what convert makes of it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
scratch 900
cd "$T"
export MPI_IMG_SEED=5
mkdir in one many
truncate -s 24M guest
put guest 4096 noise 5000000 1
put guest 9000000 text 3000000 2
put guest 20971520 noise 100000 3
small 12

"$IMG" convert -c -O qcow2 guest in/packed.qcow2
"$IMG" convert -O vmdk -o subformat=streamOptimized guest in/stream.vmdk
"$IMG" convert -O vhdx guest in/image.vhdx
"$IMG" convert -O vdi guest in/image.vdi
mv guest in/guest.raw

# each source into one format after the other: SOURCE TARGET FORMAT PACKED OPTIONS
pairs() {
    local f i=0 kinds=(qcow2 raw vmdk vhdx vdi qed parallels vpc qcow2+c qcow2+zstd vmdk+stream vmdk+split)
    for f in in/*; do
        local n=4 k
        [ "$(stat -c %s "$f")" -gt 3000000 ] && n=${#kinds[@]}
        for ((k = 0; k < n; k++)); do
            local kind=${kinds[(i++) % ${#kinds[@]}]}
            local format=${kind%+*} packed=false options=
            case $kind in
            *+c) packed=true ;;
            *+zstd) packed=true options=compression_type=zstd,cluster_size=4k ;;
            *+stream) options=subformat=streamOptimized ;;
            *+split) options=subformat=twoGbMaxExtentSparse ;;
            esac
            echo "$f ${f##*/}.$kind.$format $format $packed $options"
        done
    done
}
pairs >pairs

while read -r source target format packed options; do
    more="\"compress\":$packed"
    [ -z "$options" ] || more+=",\"options\":\"$options\""
    [ "$packed" = true ] && packed=-c || packed=
    "$IMG" convert $packed ${options:+-o "$options"} -O "$format" "$source" "one/$target"
    echo "{\"source\":\"$source\",\"target\":\"many/$target\",\"target_format\":\"$format\",$more}"
done <pairs >m.jsonl

# done_by WHAT CMD...
done_by() {
    local what=$1 f
    shift
    rm -rf many m.jsonl.results
    mkdir many
    try "$@" m.jsonl
    ended 0
    said ", 0 failed, 0 done before, 0 left"
    for f in one/*; do
        checked
        cmp -s "$f" "many/${f##*/}" || bad "$what: ${f##*/} is not what convert makes"
    done
    checked
    [ "$(ls one | wc -l)" = "$(ls -A many | wc -l)" ] || bad "$what: files are left: $(ls -A many)"
    checked
    grep -q '"spread":true' m.jsonl.results && grep -q '"spread":false' m.jsonl.results ||
        bad "$what: not both whole and spread"
    checked
    [ "$(field error <m.jsonl.results | sort -u)" = null ] || bad "$what: an error was told"
}

done_by threads "$IMG" fleet --threads 4 --whole-below 2M --hash
checked
[ "$(field hash <m.jsonl.results | grep -c sha256/65536:)" = "$(wc -l <m.jsonl)" ] || bad "hashes are missing"
# equal content, equal hashes; and they are those of convert
checked
want=$("$IMG" hash in/guest.raw | cut -d' ' -f1)
[ "$(grep -F '/guest.raw"' m.jsonl.results | field hash | sort -u)" = "\"sha256/65536:$want\"" ] ||
    bad "the hash is another than that of the image"

done_by "read back" "$IMG" fleet --threads 3 --whole-below 2M --verify
done_by serial "$IMG" fleet --engine serial --whole-below 2M
done_by "little memory" "$IMG" fleet --threads 4 --whole-below 2M --memory 16M
if command -v mpirun >/dev/null; then
    done_by "3 ranks" ranks 3 "$IMG" fleet --threads 2 --whole-below 2M --verify
    checked
    grep -q '"lanes":\[{"rank":.*{"rank":' m.jsonl.results || bad "no image was made by several ranks"
    done_by "5 ranks, all spread" ranks 5 "$IMG" fleet --threads 1 --whole-below 600k --verify
fi
finish
