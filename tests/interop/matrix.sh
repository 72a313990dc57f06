#!/bin/bash
# Every format that can be read to every one that can be written: the content is the same, by the
# original's compare and by reading back with our own; the original's check, where it has one, finds
# no fault; the bytes are the same on one thread, on several, and on three ranks.
#
#   MATRIX=full   three ranks for every pair (else for every target, and for every source once)
#   MATRIX_FROM="vhdx vmdk" MATRIX_TO="vpc"   only these
. "$(dirname "$0")/../lib.sh"
. "$TESTS/subformats.bash"
need_reference
need_mpi
scratch 1500
cd "$T"
export MPI_IMG_SEED=5

# data that packs and data that does not, zeros that are stored, holes, an odd size
truncate -s $((37 * 1048576 + 3 * 512)) guest
put guest 0 text 200000 1
put guest $((3 * 1048576 - 700)) noise 300000 2
put guest $((8 * 1048576)) zero $((3 * 1048576))
put guest $((12 * 1048576 + 65536)) noise 65536 3
put guest $((20 * 1048576)) text 1500000 4
put guest $((37 * 1048576)) noise 1536 5

# -- sources: written by the original, and those that only others write ---------------------------

names=() formats=()
source_add() {
    names+=("$1")
    formats+=("$2")
}

while read -r name format options; do
    # the original's measuring of key derivation fails now and then: "Unable to get accurate CPU usage"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        # shellcheck disable=SC2086  # words
        "$REF" convert -f raw -O "$format" $options guest "from.$name" >.ref 2>&1 && break
        grep -q 'accurate CPU' .ref || break
    done
    if grep -q . .ref; then
        bad "the original does not write $name: $(cat .ref)"
    else
        source_add "$name" "$format"
    fi
done < <(subformats)
"$REF" convert -c -f raw -O qcow2 guest from.packed && source_add packed qcow2
"$REF" convert -c -f raw -O qcow2 -o compression_type=zstd guest from.zstd && source_add zstd qcow2
# exit 1 without a word though all is written (7.2): what it holds decides
"$REF" convert -c -f raw -O qcow guest from.qcow-packed || true
"$REF" compare -q -f raw -F qcow guest from.qcow-packed && source_add qcow-packed qcow
if command -v create_compressed_fs >/dev/null &&
    create_compressed_fs -q -B 65536 guest from.cloop >/dev/null 2>&1; then
    source_add cloop cloop
fi
for maker in "$TESTS"/formats/*/make-*; do # a format that nobody here writes
    kind=$(basename "$(dirname "$maker")")
    [ "$kind" = dmg ] || [ "$kind" = bochs ] || continue
    if bash "$maker" guest "from.$kind" >/dev/null 2>&1; then
        source_add "$kind" "$kind"
    fi
done

# -- one pair --------------------------------------------------------------------------------------

# convert_on ENGINE OUT: from $from (words) to format $to_format with $to_options
convert_on() {
    local engine=$1 out=$2 run=("$IMG" convert)
    case $engine in
    serial) run+=(--engine=serial) ;;
    threads) run+=(--threads 3) ;;
    ranks) run=(ranks 3 "${run[@]}" --threads 1) ;;
    esac
    # shellcheck disable=SC2086  # words
    "${run[@]}" $to_options -O "$to_format" $from "$out"
}

# The further files of an image go into the hash too.
hash_image() {
    cat "$1" "${1%.*}"-* 2>/dev/null | hash_of /dev/stdin
}

same_bytes() {
    local pair=$1 engine first= hash
    shift
    for engine; do
        rm -rf out && mkdir out
        good convert_on "$engine" out/disk.img || return 0
        hash=$(hash_image out/disk.img)
        : "${first:=$hash}"
        [ "$hash" = "$first" ] || bad "$pair: $engine writes other bytes"
    done
}

# Geometry may have made it longer.
as_long_as_guest() {
    truncate -s "$(stat -c %s guest)" "$1"
}

content() {
    local pair=$1 name=$2 format=$3 words rc=0
    words=$(opened "$name" "$format" out/disk.img)
    checked
    case $words in
    *--image-opts*) # the original cannot name the other one's format then
        # shellcheck disable=SC2086
        "$REF" convert -O raw $words out/back && as_long_as_guest out/back && cmp -s guest out/back ||
            bad "$pair: the original reads other data"
        ;;
    *) "$REF" compare -q -f raw -F "$format" guest out/disk.img || bad "$pair: the original finds a difference" ;;
    esac
    # shellcheck disable=SC2086
    "$REF" check -q $words >/dev/null 2>&1 || rc=$?
    [ $rc = 0 ] || [ $rc = 63 ] || bad "$pair: the original's check says $rc"
    # shellcheck disable=SC2086
    good "$IMG" convert $words -O raw out/back || return 0
    as_long_as_guest out/back
    cmp -s guest out/back || bad "$pair: other data comes back"
}

wanted() {
    case " $2 " in "  " | *" $1 "*) ;; *) return 1 ;; esac
}

pairs=0
for i in "${!names[@]}"; do
    wanted "${names[$i]}" "${MATRIX_FROM:-}" || continue
    from=$(opened "${names[$i]}" "${formats[$i]}" "from.${names[$i]}")
    while read -r name to_format to_options; do
        wanted "$name" "${MATRIX_TO:-}" || continue
        case "$from $to_options" in
        *--object*--object*) to_options=${to_options/--object secret,id=key,data=hunter2/} ;;
        esac
        engines=(serial threads)
        if [ "${MATRIX:-}" = full ] || [ "${names[$i]}" = raw ] || [ "$name" = qcow2 ]; then
            engines+=(ranks)
        fi
        same_bytes "${names[$i]} to $name" "${engines[@]}"
        content "${names[$i]} to $name" "$name" "$to_format"
        pairs=$((pairs + 1))
    done < <(subformats)
done
echo "${#names[@]} sources, $pairs pairs"
finish
