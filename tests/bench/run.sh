#!/bin/bash
# bench/run.sh [ROW...]     measure against the original and other tools; without names all rows
#
#   raw-raw raw-qcow2 qcow2-raw qcow2-qcow2 pack-zlib pack-zlib6 pack-zstd zlib-raw zstd-raw
#   compare check map info offload-xfs offload-btrfs threads ranks engine direct
#   to-NAME from-NAME      for each NAME of tests/subformats.bash (to-vmdk, from-vhdx-fixed ...)
#   to-vmdk-stream-fast    with --compression-level 1
#   formats                all of these
#   fleet                  many small images, beside a loop and xargs over the original
#   overhead               what --resume, --hash and --verify cost
#   commit rebase dd compare-scattered chain check-repair snapshot bench-read bench-write
#                          what changes an image in place, and what only reads it
#
#   RUNS=5 MIB=4096 SCATTER_GIB=256     rounds, size of the image, size of the scattered one
#   LARGE_GIB=1024                      size of the image that snapshots are taken of
#   IMAGES=2000                         how many the fleet has
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
RUNS=${RUNS:-5} MIB=${MIB:-4096} SCATTER_GIB=${SCATTER_GIB:-256} LARGE_GIB=${LARGE_GIB:-1024} IMAGES=${IMAGES:-2000}
CACHE=${CACHE:-unsafe}
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
# With BEFORE set, that shell text is run instead of the removal.
race() {
    local row=$1 output=$2 i=0 names=() commands=() sizes=() pair line best= best_name=
    local before=${BEFORE:-rm -rf "$output"}
    shift 2
    for pair; do
        names+=("${pair%%=*}")
        commands+=("${pair#*=}")
        sh -c "$before"
        sh -c "${pair#*=}" >/dev/null || { echo "$row: fails: ${pair#*=}" >&2; return 0; }
        sizes+=("$(mib_of "$output")")
    done
    "$pairs" --runs "$RUNS" --before "$before" "${commands[@]}" >lines
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
    rm -rf "$output"
    # how ours scales, or what its own options cost, is no race against others
    case $row in threads | ranks | overhead-*) best= ;; esac
    [ -z "$best" ] || summary+=("$(printf '%-16s %6.2fx  against %s' "$row" "$best" "$best_name")")
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
        large) "$REF" create -q -f qcow2 -o preallocation=metadata large "${LARGE_GIB}G" ;;
        chain) make_chain 10 ;;
        overlay) make_overlay ;;
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

# -- changes in place, long chains -----------------------------------------------------------------

# writes FILE SIZE_MIB N SEED: N clusters of data at random offsets, by the original
writes() {
    awk -v mib="$2" -v n="$3" -v seed="$4" 'BEGIN {
        srand(seed)
        for (i = 0; i < n; i++)
            printf "write -q -P %d %dk 64k\n", 1 + i % 255, 64 * int(rand() * mib * 16)
    }' >script
    "${REF_IO:-/usr/bin/qemu-io}" -f qcow2 "$1" <script >/dev/null
}

# N layers of 64 GiB, each with some clusters of its own; the topmost is `chain`
make_chain() {
    local i below=
    for i in $(seq "$1"); do
        "$REF" create -q -f qcow2 ${below:+-b "$below" -F qcow2} "layer$i" 64G
        writes "layer$i" 65536 400 "$i"
        below=layer$i
    done
    ln -s "$below" chain
}

# an overlay over the raw image, with a quarter of its clusters new; another base for it
make_overlay() {
    input raw
    local mib
    mib=$(($(stat -c %s raw) / 1048576))
    "$REF" create -q -f qcow2 -b raw -F raw overlay
    writes overlay "$mib" $((mib * 4)) 7
    cp --sparse=always raw other
    dd if=/dev/urandom of=other bs=1M seek=$((mib / 3)) count=$((mib / 20 + 1)) conv=notrunc status=none
}

copied() {
    local name text=
    for name; do text+="cp --sparse=always $name work.$name; "; done
    echo "$text"
}

row_commit() {
    input overlay
    BEFORE="$(copied overlay raw)$REF rebase -u -b work.raw -F raw work.overlay" \
        race commit - "ours=$IMG commit -q work.overlay" "qemu-img=$REF commit -q work.overlay"
    rm -f work.*
}
row_rebase() {
    input overlay
    BEFORE=$(copied overlay) \
        race rebase - "ours=$IMG rebase -b other -F raw work.overlay" \
        "qemu-img=$REF rebase -b other -F raw work.overlay"
    rm -f work.*
}
row_dd() {
    input raw
    local o="-f raw -O qcow2 bs=1M skip=7 if=raw of=out"
    race dd out "ours=$IMG dd $o" "qemu-img=$REF dd $o"
}
row_compare_scattered() {
    input scattered
    [ -e again ] || cp --sparse=always scattered again
    reading compare-scattered compare scattered again
    rm -f again
}
row_chain() {
    input chain
    reading chain-map map --output=json chain
    reading chain-check check chain
    reading chain-compare compare chain "layer10"
    race chain-convert out "ours=$IMG convert $ours -O qcow2 chain out" \
        "qemu-img=$REF convert $theirs -O qcow2 chain out" \
        "-m 16 -W=$REF convert $theirs -m 16 -W -O qcow2 chain out"
}

# the refcounts of 64 clusters are wrong: each costs the original a second or so
row_check_repair() {
    input scattered
    local damage
    damage="$(copied scattered)tr '\\0' '\\2' </dev/zero | head -c 128 |
        dd of=work.scattered bs=64k seek=4 conv=notrunc status=none"
    BEFORE=$damage race check-repair - "ours=$IMG check -q -r leaks work.scattered 2>/dev/null" \
        "qemu-img=$REF check -q -r leaks work.scattered 2>/dev/null"
    rm -f work.*
}
row_snapshot() {
    input large
    BEFORE=$(copied large) race snapshot-create - "ours=$IMG snapshot -c s work.large" \
        "qemu-img=$REF snapshot -c s work.large"
    BEFORE="$(copied large)$REF snapshot -c s work.large" race snapshot-delete - \
        "ours=$IMG snapshot -d s work.large" "qemu-img=$REF snapshot -d s work.large"
    rm -f work.*
}
row_bench_read() {
    input qcow2
    reading bench-read-4k bench -f qcow2 qcow2
    reading bench-read-64k bench -f qcow2 -s 64k -c 20000 qcow2
    reading bench-depth-1 bench -f qcow2 -d 1 qcow2
}
row_bench_write() {
    local o how
    for how in "" "-s 64k -c 8000" "-S 64k -c 8000" "--flush-interval 64"; do
        o="bench -w -f qcow2 $how work.new"
        BEFORE="$REF create -q -f qcow2 work.new 1G" \
            race "write-new ${how:-4k}" - "ours=$IMG $o" "qemu-img=$REF $o"
    done
    o="bench -w -f qcow2 work.new"
    BEFORE=true race "write-again 4k" - "ours=$IMG $o" "qemu-img=$REF $o"
    truncate -s 1G work.raw
    o="bench -w -f raw work.raw"
    BEFORE=true race "write-raw 4k" - "ours=$IMG $o" "qemu-img=$REF $o"
    rm -f work.*
}

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

# -- many images ------------------------------------------------------------------------------------

# Small images of real data, of 256 KiB to 2 MiB, cut out of the large one.
make_small() {
    local i n size bytes
    input raw
    bytes=$(stat -c %s raw)
    mkdir small
    for ((i = 0; i < IMAGES; i++)); do
        size=$((256 << i % 4)) n=$((i * 7919 % (bytes / 2097152)))
        dd if=raw of=small/$i bs=1K count=$size skip=$((n * 2048)) conv=sparse status=none
        truncate -s "${size}K" small/$i
    done
}

# A fleet beside what a shell does with the original, one at a time and as many as there are CPUs.
row_fleet() {
    [ -e small ] || make_small
    local o="-f raw -O qcow2" n
    n=$(nproc)
    BEFORE="rm -rf out results; mkdir out" race fleet out \
        "ours=$IMG fleet $o --results results --from small --to out" \
        "a loop=for i in \$(ls small); do $REF convert $o small/\$i out/\$i || exit 1; done" \
        "xargs -P $n=ls small | xargs -P $n -I{} $REF convert $o small/{} out/{}" \
        "ours, xargs=ls small | xargs -P $n -I{} $IMG convert --threads 1 $o small/{} out/{}"
}

# What a journal, a hash and reading back cost: the lines' ratios.
row_overhead() {
    input raw
    local o="$IMG convert $ours -f raw -O qcow2"
    race overhead-raw out "plain=$o raw out" "--hash=$o --hash raw out" "--verify=$o --verify raw out"
    # a journal wants its data synced
    o="$IMG convert -f raw -O qcow2"
    race overhead-journal out "plain=$o raw out" "--resume=$o --resume raw out"
    race overhead-packed out "plain=$o -c raw out" "--resume=$o -c --resume raw out" \
        "--hash=$o -c --hash raw out" "--verify=$o -c --verify raw out"
}

# the engine with nothing to do: messages alone
row_engine() {
    local program=$build/bench_ceiling
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
    compare check map info commit rebase dd compare-scattered chain check-repair snapshot
    bench-read bench-write fleet overhead offload-xfs offload-btrfs threads ranks engine direct"
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
