#!/bin/bash
# seeds.sh FORMAT PACKER MAKER FOLDER: small images of that format with all its features, to begin
# with.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
format=$1 packer=$(realpath "$2") maker=$(realpath "$3") folder=$(realpath "$4")
T=$(mktemp -d "${TMPDIR:-/tmp}/mpi-img-seeds.XXXXXX")
trap 'rm -rf "$T"' EXIT
cd "$T"
truncate -s 1M none

# keep NAME FILE: as it is if it is short, else as a list of what is not zero
keep() {
    if [ "$(stat -c %s "$2")" -le 16384 ]; then
        cp "$2" "$folder/seed-$1"
    else
        "$packer" --pack "$2" "$folder/seed-$1"
    fi
}

# data that packs, a little that does not, zeros
guest() {
    truncate -s 1M raw
    perl -e 'print join("", map { "line $_\n" } 1 .. 200)' | dd of=raw conv=notrunc status=none
    echo "a few words in the middle" | dd of=raw bs=1 seek=300000 conv=notrunc status=none
    perl -e 'srand(1); print map { chr(int(rand(256))) } 1 .. 300' |
        dd of=raw bs=1 seek=700000 conv=notrunc status=none
}

# made NAME OPTIONS [CONVERT'S WORDS]: by the original, else by ourselves
made() {
    local name=$1 options=$2 program
    shift 2
    for program in qemu-img "$maker"; do
        rm -f image
        if "$program" convert -f raw -O "$format" ${options:+-o "$options"} "$@" raw image 2>made.err; then
            keep "$name" image
            return 0
        fi
    done
    echo "$format: no $name: $(head -n 1 made.err)"
}

secret=(--object secret,id=s,data=x)

of_qcow2() {
    made plain ""
    local size
    for size in 512 4096 65536; do
        made size-$size cluster_size=$size
        made packed-$size cluster_size=$size -c
    done
    made v2 compat=0.10,cluster_size=1024
    made zstd compression_type=zstd,cluster_size=1024 -c
    made extended extended_l2=on,cluster_size=16384
    made allocated preallocation=metadata,cluster_size=4096
    made refcounts-1 refcount_bits=1,cluster_size=512
    made refcounts-64 refcount_bits=64,lazy_refcounts=on,cluster_size=512
    made backing cluster_size=512 -B none -F raw
    made data-file data_file=data,data_file_raw=on,cluster_size=512
    made luks "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1,cluster_size=512" \
        "${secret[@]}" # without its key material
    head -c 8192 image >short && keep luks short
    made aes "encrypt.format=aes,encrypt.key-secret=s,cluster_size=512" "${secret[@]}"
    qemu-img create -q -f qcow2 -o cluster_size=512 image 1M
    qemu-io -c "write -P 1 64k 4k" image >/dev/null
    qemu-img snapshot -c one image
    qemu-io -c "write -P 2 64k 2k" -c "write -z 128k 4k" image >/dev/null
    qemu-img snapshot -c two image
    qemu-img bitmap --add -g 4096 image b0
    qemu-img bitmap --add -g 65536 --disable image b1
    qemu-io -c "write -P 3 256k 2k" image >/dev/null
    keep snapshots image
}

of_dmg() {
    local make=$here/../formats/dmg/make-udif kind
    for kind in zlib adc bzip2 xz raw; do
        perl "$make" image raw chunk=20 tables=2 $kind
        keep $kind image
        perl "$make" image raw chunk=16 where=fork comments raw $kind
        keep fork-$kind image
    done
    perl "$make" image raw chunk=40 where=both tables=4 order=backward zlib raw
    keep both image
}

of_bochs() {
    local make=$here/../formats/bochs/make-redolog
    perl "$make" image raw extent=4096
    keep v2 image
    perl "$make" image raw extent=65536 version=1 order=backward
    keep v1 image
}

of_cloop() {
    command -v create_compressed_fs >/dev/null || return 0
    local size
    for size in 512 4096 65536; do
        create_compressed_fs -q -B $size raw image >/dev/null 2>&1
        keep $size image
    done
}

of_raw() {
    made plain ""
}

of_qcow() {
    made plain ""
    made packed "" -c
    made aes "encrypt.format=aes,encrypt.key-secret=s" "${secret[@]}"
    made backing "" -B none -F raw
}

of_qed() {
    made plain cluster_size=4096,table_size=1
    made large ""
    made backing cluster_size=4096,table_size=1 -B none -F raw
}

of_vdi() {
    made plain ""
    made static static=on
}

of_vpc() {
    made dynamic ""
    made fixed subformat=fixed
    qemu-img create -q -f vpc parent 1M
    qemu-img create -q -f vpc child 1M
    qemu-io -f vpc -c "write -P 3 4k 4k" child >/dev/null
    perl "$here/../formats/vpc/make-differencing" child parent W2ru=parent
    keep differencing child
}

of_vhdx() {
    local make=$here/../formats/vhdx/vhdx.pl
    made dynamic block_size=1M,log_size=1M
    made fixed subformat=fixed,block_size=1M,log_size=1M
    perl "$make" make image size=4M block=1M log=1M put=1M,4k,7 state=2,2
    keep states image
    perl "$make" log image at=8192 entry,tail=8192 data=$((5 << 20)),3 zero=$((6 << 20)),4k
    keep log image
    perl "$make" make image size=4M block=1M log=1M sector=4096 parent=none \
        linkage=12345678-1234-1234-1234-123456789abc put=1M,4k,7 full=2
    keep parent image
}

of_vmdk() {
    local kind
    for kind in monolithicSparse monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat streamOptimized; do
        made $kind subformat=$kind
    done
    made zeroed zeroed_grain=on
    for kind in stream sparse cowd sesparse; do
        perl "$here/../formats/vmdk/build.pl" $kind image other size=200 grain=8 zero=1 && keep built-$kind image
    done
}

of_parallels() {
    made plain ""
    made small cluster_size=4096
}

of_luks() {
    truncate -s 4096 raw # all of it is stored
    made plain key-secret=s,iter-time=1 "${secret[@]}"
}

guest
"of_$format" || echo "$format: nothing to begin with"
