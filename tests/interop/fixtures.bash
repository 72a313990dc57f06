# Sourced by the tests of this folder: images made by the original's own tools, one function a
# fixture. Each leaves its image under the name of the function, in the current folder; files it
# needs beside it begin with the same name.
# shellcheck shell=bash

# io FORMAT IMAGE COMMAND...: qemu-io, quiet.
io() {
    local format=$1 image=$2 command list=()
    shift 2
    for command; do
        list+=(-c "$command")
    done
    "$REF_IO" -f "$format" "${list[@]}" "$image" >/dev/null
}

create() {
    "$REF" create -q -f "$@"
}

# Noise and text to be written with "write -s": made once.
materials() {
    pattern noise 2097152 11 >noise.bin
    pattern text 2097152 12 >text.bin
}

# Scrambled writes of several kinds in the first 64 MiB.
scribble() {
    io "$1" "$2" "write -P 1 33M 64k" "write -P 2 5M 700k" "write -s noise.bin 1M 2M" \
        "write -P 3 0 512" "write -s text.bin 50M 2M" "write -P 0 12M 1M" "write -z 20M 3M" \
        "write -P 4 5100k 8k" "write -P 5 67108352 512"
}

# -- raw -------------------------------------------------------------------------------------------

raw_sparse() {
    create raw raw_sparse 64M
    scribble raw raw_sparse
}
raw_odd() { pattern text 100001 >raw_odd; }
raw_tiny() { printf x >raw_tiny; }
raw_empty() { : >raw_empty; }
raw_hole() { truncate -s 8T raw_hole; }

# -- qcow2: shapes of one file ---------------------------------------------------------------------

cluster_size() {
    local name=q_cluster_$1
    create qcow2 -o "cluster_size=$1" "$name" 64M
    scribble qcow2 "$name"
}
q_cluster_512() { cluster_size 512; }
q_cluster_1k() { cluster_size 1k; }
q_cluster_4k() { cluster_size 4k; }
q_cluster_16k() { cluster_size 16k; }
q_cluster_64k() { cluster_size 64k; }
q_cluster_256k() { cluster_size 256k; }
q_cluster_2M() { cluster_size 2M; }

refcount_bits() {
    local name=q_refcount_$1
    create qcow2 -o "cluster_size=4k,refcount_bits=$1" "$name" 64M
    scribble qcow2 "$name"
}
q_refcount_1() { refcount_bits 1; }
q_refcount_2() { refcount_bits 2; }
q_refcount_4() { refcount_bits 4; }
q_refcount_8() { refcount_bits 8; }
q_refcount_32() { refcount_bits 32; }
q_refcount_64() { refcount_bits 64; }

q_version2() {
    create qcow2 -o compat=0.10 q_version2 64M
    scribble qcow2 q_version2
}
q_lazy() {
    create qcow2 -o lazy_refcounts=on q_lazy 64M
    scribble qcow2 q_lazy
}
q_dirty() {
    create qcow2 -o lazy_refcounts=on q_dirty 64M
    scribble qcow2 q_dirty
    (io qcow2 q_dirty "write -P 9 40M 1M" abort 2>/dev/null) 2>/dev/null || true
}
q_empty() { create qcow2 q_empty 64M; }
q_size_0() { create qcow2 q_size_0 0; }
q_size_512() {
    create qcow2 q_size_512 512
    io qcow2 q_size_512 "write -P 7 0 512"
}
q_odd_tail() {
    create qcow2 q_odd_tail $((10 * 65536 + 3 * 512))
    io qcow2 q_odd_tail "write -P 7 0 100k" "write -P 8 655360 1536"
}
q_huge() {
    create qcow2 q_huge 64T
    io qcow2 q_huge "write -P 1 0 64k" "write -P 2 40T 1M" "write -P 3 70368744112128 65536"
}
q_zero_clusters() {
    create qcow2 q_zero_clusters 64M
    io qcow2 q_zero_clusters "write -P 1 0 32M" "write -z 1M 2M" "write -zu 8M 3M" \
        "discard 16M 2M" "write -z 40M 4M" "write -z 50M 1k"
}
q_preallocated() {
    create qcow2 -o preallocation=metadata q_preallocated 64M
    io qcow2 q_preallocated "write -P 1 3M 1M"
}
q_falloc() { create qcow2 -o preallocation=falloc q_falloc 16M; }
q_full() { create qcow2 -o preallocation=full q_full 16M; }
q_extended() {
    create qcow2 -o extended_l2=on q_extended 64M
    scribble qcow2 q_extended
    io qcow2 q_extended "write -P 6 30M 2k" "write -P 6 30728k 4k" "write -z 30736k 2k" \
        "write -P 1 31M 64k" "discard 31750k 6k"
}
q_extended_2M() {
    create qcow2 -o extended_l2=on,cluster_size=2M q_extended_2M 64M
    scribble qcow2 q_extended_2M
}

# -- qcow2: packed clusters ------------------------------------------------------------------------

packed() {
    create raw "$1.source" 64M
    scribble raw "$1.source"
    "$REF" convert -f raw -O qcow2 -c -o "$2" "$1.source" "$1"
    rm "$1.source"
}
q_zlib() { packed q_zlib compression_type=zlib; }
q_zlib_4k() { packed q_zlib_4k cluster_size=4k; }
q_zlib_512() { packed q_zlib_512 cluster_size=512; }
q_zlib_2M() { packed q_zlib_2M cluster_size=2M; }
q_zlib_version2() { packed q_zlib_version2 compat=0.10; }
q_zstd() { packed q_zstd compression_type=zstd; }
q_zstd_4k() { packed q_zstd_4k compression_type=zstd,cluster_size=4k; }
q_zstd_2M() { packed q_zstd_2M compression_type=zstd,cluster_size=2M; }
q_zlib_extended() { packed q_zlib_extended extended_l2=on; }
q_mixed() {
    packed q_mixed compression_type=zlib
    io qcow2 q_mixed "write -P 9 1M 300k" "write -c -s text.bin 40M 64k" "write -z 50M 128k"
}

# -- qcow2: several files --------------------------------------------------------------------------

chain_raw() {
    create raw chain_raw.base 64M
    scribble raw chain_raw.base
    create qcow2 -b chain_raw.base -F raw chain_raw
    io qcow2 chain_raw "write -P 7 2M 1M" "write -z 51M 512k" "write -P 8 5M 512"
}
chain_three() {
    mkdir -p chain_three.d
    create raw chain_three.d/base 64M
    scribble raw chain_three.d/base
    create qcow2 -b base -F raw -o cluster_size=4k chain_three.d/middle
    io qcow2 chain_three.d/middle "write -P 7 2M 1M" "write -z 51M 512k"
    create qcow2 -b chain_three.d/middle -F qcow2 -o cluster_size=2M chain_three
    io qcow2 chain_three "write -P 8 5M 512" "write -z 2M 4k"
}
chain_short() { # the backing image ends before, in the middle of a cluster
    create raw chain_short.base $((10 * 1048576 + 512))
    io raw chain_short.base "write -P 1 0 10M" "write -P 2 10M 512"
    create qcow2 -b chain_short.base -F raw chain_short 64M
    io qcow2 chain_short "write -P 3 30M 64k" "write -P 3 9M 64k"
}
chain_long() { # and after
    create qcow2 chain_long.base 64M
    scribble qcow2 chain_long.base
    create qcow2 -b chain_long.base -F qcow2 chain_long 10M
    io qcow2 chain_long "write -P 3 9M 64k"
}
chain_dip() { # short in the middle: what lies above its end must not show through
    create qcow2 chain_dip.base 64M
    scribble qcow2 chain_dip.base
    create qcow2 -b chain_dip.base -F qcow2 chain_dip.middle 10M
    create qcow2 -b chain_dip.middle -F qcow2 chain_dip 64M
    io qcow2 chain_dip "write -P 3 9M 64k"
}
chain_packed() {
    packed chain_packed.base compression_type=zstd
    create qcow2 -b chain_packed.base -F qcow2 -o extended_l2=on chain_packed
    io qcow2 chain_packed "write -P 3 1M 2k" "write -P 4 50M 3k" "write -z 5M 2k"
}
chain_deep() {
    local i below
    create raw chain_deep.0 64M
    scribble raw chain_deep.0
    create qcow2 -b chain_deep.0 -F raw chain_deep.1
    for i in 2 3 4 5 6 7 8 9 10 11 12; do
        below=chain_deep.$((i - 1))
        create qcow2 -b "$below" -F qcow2 "chain_deep.$i"
        io qcow2 "chain_deep.$i" "write -P $i ${i}M 64k" "write -z $((i * 64 + 20000))k 64k"
    done
    create qcow2 -b chain_deep.12 -F qcow2 chain_deep
}
data_file() {
    create qcow2 -o data_file=data_file.data data_file 64M
    scribble qcow2 data_file
}
data_file_raw() {
    create qcow2 -o data_file=data_file_raw.data,data_file_raw=on data_file_raw 64M
    scribble qcow2 data_file_raw
}

# -- qcow2: snapshots, bitmaps ---------------------------------------------------------------------

snapshots() {
    create qcow2 snapshots 64M
    scribble qcow2 snapshots
    "$REF" snapshot -c first snapshots
    io qcow2 snapshots "write -P 20 0 10M" "write -z 30M 4M"
    "$REF" snapshot -c second snapshots
    io qcow2 snapshots "write -P 21 4M 10M"
    # its time is in what info shows: the same for all
}
bitmaps() {
    create qcow2 bitmaps 64M
    scribble qcow2 bitmaps
    "$REF" bitmap --add bitmaps b0
    "$REF" bitmap --add -g 4096 bitmaps b1
    io qcow2 bitmaps "write -P 1 2M 1M"
    "$REF" bitmap --disable bitmaps b1
    "$REF" bitmap --add --disable -g 1M bitmaps b2
}

# every fixture of this file, in order
fixtures() {
    sed -n 's/^\([a-z][a-zA-Z0-9_]*\)() {.*/\1/p' "$TESTS/interop/fixtures.bash" |
        grep -E '^(raw|q|chain|data)_|^(snapshots|bitmaps)$'
}

# each FUNCTION [ONLY...]: make every fixture (or those named) in a folder of its own and call
# FUNCTION with its name there.
each() {
    local call=$1 name
    shift
    [ $# -gt 0 ] || set -- $(fixtures)
    for name; do
        mkdir "$T/$name"
        cd "$T/$name"
        ln -s ../noise.bin ../text.bin .
        "$name"
        "$call" "$name"
        cd "$T"
        rm -rf "${T:?}/$name"
    done
}

# What -f to name for a fixture.
format_of() {
    case $1 in
    raw_*) echo raw ;;
    *) echo qcow2 ;;
    esac
}
