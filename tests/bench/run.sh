#!/bin/bash
# bench/run.sh [ROW...]     measure against the original and other tools; without names all rows
#
#   raw-raw raw-qcow2 qcow2-raw qcow2-qcow2 pack-zlib pack-zlib6 pack-zstd zlib-raw zstd-raw
#   compare check map info offload-xfs offload-btrfs threads ranks engine direct
#   to-NAME from-NAME      for each NAME of tests/subformats.bash (to-vmdk, from-vhdx-fixed ...)
#   to-vmdk-stream-fast    with --compression-level 1
#   formats                all of these
#
#   RUNS=5 MIB=4096 SCATTER_GIB=256     rounds, size of the image, size of the scattered one
#   DIR=/dev/shm                        where it happens; IMAGE=disk.raw: use this image
#   CACHE=unsafe|none                   on a disk: our exit code 0 means that the data is on
#                                       storage, the original's does not. unsafe asks the same
#                                       little of both, none has both go around the page cache
#
# Every row times all its commands in turn, round after round (bench_pairs), and prints medians:
# wall seconds, CPU seconds, peak memory of the largest process, and how many times faster ours is,
# by the median over rounds of the ratio within a round. The original is run as it comes and with
# -m 16 -W; what counts is the better of the two.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/sbin:/usr/sbin"
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../subformats.bash"
build=${BUILD:-$here/../../build}
IMG=$(realpath "${IMG:-$build/mpi-img}")
REF=${REF:-/usr/bin/qemu-img}
pairs=$build/bench_pairs scatter=$build/bench_scatter
RUNS=${RUNS:-5} MIB=${MIB:-4096} SCATTER_GIB=${SCATTER_GIB:-256} CACHE=${CACHE:-unsafe}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

W=$(mktemp -d "${DIR:-/dev/shm}/mpi-img-bench.XXXXXX")
mounts=()
cleanup() {
    for m in "${mounts[@]}"; do umount "$m" 2>/dev/null || true; done
    rm -rf "$W"
}
trap cleanup EXIT
cd "$W"

summary=()

# -- the table -------------------------------------------------------------------------------------

mib_of() {
    [ -e "$1" ] && du -m "$1" | cut -f1 || echo -
}

# race ROW OUTPUT NAME=COMMAND...: the first is ours. OUTPUT is removed before each run and its
# size told after ("-" for none).
race() {
    local row=$1 output=$2 i=0 names=() commands=() sizes=() pair line best= best_name=
    shift 2
    for pair; do
        names+=("${pair%%=*}")
        commands+=("${pair#*=}")
        rm -f "$output"
        sh -c "${pair#*=}" >/dev/null || { echo "$row: fails: ${pair#*=}" >&2; return 0; }
        sizes+=("$(mib_of "$output")")
    done
    "$pairs" --runs "$RUNS" --before "rm -f '$output'" "${commands[@]}" >lines
    printf '\n%-14s %9s %9s %9s %9s %9s %8s\n' "$row" wall min cpu peakMiB outMiB faster
    while read -r wall min _ cpu peak ratio; do
        line=$(awk -v p="$peak" -v r="$ratio" -v i=$i 'BEGIN {
            printf "%9.0f %%s %8s", p / 1024, i ? sprintf("%.2fx", r) : "" }')
        # shellcheck disable=SC2059
        printf "  %-12s %9.3f %9.3f %9.3f $line\n" "${names[$i]}" "$wall" "$min" "$cpu" \
            "$(printf %9s "${sizes[$i]}")"
        if [ $i -gt 0 ] && awk "BEGIN { exit !($ratio < ${best:-1e9}) }"; then
            best=$ratio best_name=${names[$i]}
        fi
        i=$((i + 1))
    done <lines
    rm -f "$output"
    # how ours scales is no race against others
    [ "$row" = threads ] || [ "$row" = ranks ] || [ -z "$best" ] || summary+=("$(printf '%-16s %6.2fx  against %s' "$row" "$best" "$best_name")")
}

# Cache options for ours and for the original.
case $CACHE in
unsafe) ours="-t unsafe" theirs="" ;;
none) ours="-t none -T none" theirs="-t none -T none" ;;
*) echo "CACHE is unsafe or none" >&2; exit 1 ;;
esac

# against ROW FORMAT INPUT ARGS_OURS ARGS_THEIRS [NAME=COMMAND...]: a conversion, ours and theirs
against() {
    local row=$1 format=$2 input=$3 a=$4 b=$5
    shift 5
    race "$row" out "ours=$IMG convert $ours $a -O $format $input out" \
        "qemu-img=$REF convert $theirs $b -O $format $input out" \
        "-m 16 -W=$REF convert $theirs $b -m 16 -W -O $format $input out" "$@"
}

# -- inputs, made when a row asks for them ---------------------------------------------------------

input() {
    local name
    for name; do
        [ ! -e "$name" ] || continue
        case $name in
        raw) if [ -n "${IMAGE:-}" ]; then cp --sparse=always "$IMAGE" raw; else
            TMPDIR=$W bash "$here/../real/make-real-image" raw "$MIB" >&2; fi ;;
        qcow2) input raw && "$REF" convert -f raw -O qcow2 raw qcow2 ;;
        zlib) input raw && "$REF" convert -m 16 -W -c -f raw -O qcow2 raw zlib ;;
        zstd) input raw && "$REF" convert -m 16 -W -c -o compression_type=zstd -f raw -O qcow2 raw zstd ;;
        scattered) "$scatter" scattered "$SCATTER_GIB" ;;
        esac
    done
}

# -- rows ------------------------------------------------------------------------------------------

row_raw_raw() {
    input raw
    local more=("cp=cp --sparse=always raw out")
    ! command -v nbdcopy >/dev/null || more+=("nbdcopy=truncate -r raw out; nbdcopy --destination-is-zero raw out")
    against raw-raw raw raw "-f raw" "-f raw" "${more[@]}"
}
row_raw_qcow2() { input raw; against raw-qcow2 qcow2 raw "-f raw" "-f raw"; }
row_qcow2_raw() { input qcow2; against qcow2-raw raw qcow2 "" ""; }
row_qcow2_qcow2() { input qcow2; against qcow2-qcow2 qcow2 qcow2 "" ""; }
row_pack_zlib() { input raw; against pack-zlib qcow2 raw "-c -f raw" "-c -f raw"; }
row_pack_zlib6() {
    input raw
    against pack-zlib6 qcow2 raw "-c --compression-level 6 -f raw" "-c -f raw"
}
row_pack_zstd() {
    input raw
    local o="-c -o compression_type=zstd -f raw"
    against pack-zstd qcow2 raw "$o" "$o"
}
row_zlib_raw() { input zlib; against zlib-raw raw zlib "" ""; }
row_zstd_raw() { input zstd; against zstd-raw raw zstd "" ""; }

# Every format: written from raw, read to raw. The names of both columns are one, so that its
# further files are overwritten and not added.
row_of() {
    subformats | grep "^$1 " || { echo "no format $1 in subformats.bash" >&2; exit 1; }
}
row_to() {
    local name format options
    read -r name format options < <(row_of "$1")
    input raw
    against "to-$1${2:+-fast}" "$format" raw "$options ${2:-} -f raw" "$options -f raw"
}
row_from() {
    local name format options words
    read -r name format options < <(row_of "$1")
    input raw
    # shellcheck disable=SC2086  # words
    [ -e "from.$name" ] || "$REF" convert -f raw -O "$format" $options raw "from.$name"
    words=$(opened "$name" "$format" "from.$name")
    race "from-$name" out "ours=$IMG convert $ours -O raw $words out" \
        "qemu-img=$REF convert $theirs -O raw $words out" \
        "-m 16 -W=$REF convert $theirs -m 16 -W -O raw $words out"
    rm -f "from.$name" "from.$name"-* "from"-*
}
row_formats() {
    local name
    for name in $(subformats | cut -d' ' -f1 | grep -v '^raw$'); do
        row_to "$name"
        [ "$name" != vmdk-stream ] || row_to "$name" "--compression-level 1"
        row_from "$name"
    done
}

# what only reads has no -m and -W
reading() {
    local row=$1
    shift
    race "$row" - "ours=$IMG $*" "qemu-img=$REF $*"
}
row_compare() {
    input raw zlib zstd
    reading compare-zlib compare raw zlib
    reading compare-zstd compare raw zstd
}
row_check() {
    input scattered
    reading check check scattered
    race "check, tuned" - "ours=$IMG check scattered" \
        "qemu-img=$REF check --image-opts driver=qcow2,refcount-cache-size=16M,file.filename=scattered"
}
row_map() { input scattered; reading map map --output=json scattered; }
row_info() { input zlib; reading info info --output=json zlib; }

# -C on a file system with shared extents
offload() {
    local kind=$1 mkfs=$2
    input raw
    mkdir -p "$kind"
    truncate -s $((MIB * 3 + 1024))M "$kind.disk"
    if ! $mkfs "$kind.disk" >/dev/null 2>&1 || ! mount -o loop "$kind.disk" "$kind" 2>/dev/null; then
        echo "offload-$kind: left out, cannot mount a $kind of our own"
        return 0
    fi
    mounts+=("$W/$kind")
    cp --sparse=always raw "$kind/raw"
    race "offload-$kind" "$kind/out" "ours=$IMG convert $ours -C -f raw -O raw $kind/raw $kind/out" \
        "qemu-img=$REF convert $theirs -C -f raw -O raw $kind/raw $kind/out" \
        "cp=cp --reflink=always $kind/raw $kind/out"
}
row_offload_xfs() { offload xfs "mkfs.xfs -q -m reflink=1"; }
row_offload_btrfs() { offload btrfs "mkfs.btrfs -q"; }

# more threads, more ranks of one thread: how far does it scale?
row_threads() {
    input raw
    local n list=()
    for n in 4 2 1; do
        list+=("$n threads=$IMG convert $ours --threads $n -c -f raw -O qcow2 raw out")
    done
    race threads out "${list[@]}"
}
row_ranks() {
    input raw
    local n list=("4 threads=$IMG convert $ours --threads 4 -c -f raw -O qcow2 raw out")
    for n in 4 2 1; do
        list+=("$n ranks=mpirun -n $n --oversubscribe $IMG convert $ours --threads 1 -c -f raw -O qcow2 raw out")
    done
    race ranks out "${list[@]}"
}

# the engine with nothing to do: messages alone
row_engine() {
    local program=$build/bench_coordinator
    if [ ! -x "$program" ]; then
        echo "engine: left out, $program is not built"
        return 0
    fi
    "$program"
}

# a disk without page cache, beside what fio gets out of it
fio_rate() {
    fio --name=x --filename=fio.file --size=1g --rw="$1" --bs=1m --direct=1 --ioengine=libaio \
        --iodepth=16 --runtime=5 --output-format=json 2>/dev/null |
        jq ".jobs[0].$1.bw / 1024 | floor"
}
row_direct() {
    if ! command -v fio >/dev/null || ! command -v jq >/dev/null; then
        echo "direct: left out, needs fio and jq"
        return 0
    fi
    if [ "$(stat -f -c %T "$W")" = tmpfs ]; then
        echo "direct: left out, $W is in memory (DIR=/var/tmp)"
        return 0
    fi
    input raw
    printf '\ndirect: fio writes %s MiB/s, reads %s MiB/s; the image holds %s MiB\n' \
        "$(fio_rate write)" "$(fio_rate read)" "$(mib_of raw)"
    rm -f fio.file
    local o="-t none -T none -f raw -O qcow2 raw out"
    race direct out "ours=$IMG convert $o" "qemu-img=$REF convert $o" \
        "-m 16 -W=$REF convert -m 16 -W $o"
}

all="raw-raw raw-qcow2 qcow2-raw qcow2-qcow2 pack-zlib pack-zlib6 pack-zstd zlib-raw zstd-raw
    compare check map info offload-xfs offload-btrfs threads ranks engine direct"
[ $# -gt 0 ] || set -- $all
for row; do
    case $row in to-* | from-*) continue ;; esac
    command -v "row_${row//-/_}" >/dev/null || { echo "no row $row; there are: $all" >&2; exit 1; }
done
printf '%s, %s CPUs, %s, %s rounds, cache %s\n' "$("$REF" --version | head -n 1)" "$(nproc)" "$W" \
    "$RUNS" "$CACHE"
for row; do
    case $row in
    to-*-fast) row_to "$(expr "$row" : 'to-\(.*\)-fast')" "--compression-level 1" ;;
    to-*) row_to "${row#to-}" ;;
    from-*) row_from "${row#from-}" ;;
    *) "row_${row//-/_}" ;;
    esac
done
printf '\nours against the best of the others, by wall time:\n'
printf '  %s\n' "${summary[@]}"
