#!/bin/bash
# create: the words, limits and defaults of qemu-img; images that it takes for its own.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
scratch 700
cd "$T"

# make ARGS...: the same words; if there is an image, the same facts
make() {
    rm -f image
    alike create -f vhdx "$@"
    rm -f image
    "$IMG" create -q -f vhdx "$@" >.made 2>&1 || return 0
    alike info image
    alike check image
}

facts_of() {
    "$REF" info --output=json "$1" | grep -v actual-size
}

alike create -f vhdx -o help
alike create -f vhdx -o help image
for size in 512 513 1M 1G $((1024 * 1024 * 1024 + 512)) 100G 101G 32T 33T 64T 65T \
    70368744177665; do
    make image $size
done
for block in 0 1 1k 1M 1537k 3M 128M 256M 300M 512M 4G; do
    make -o block_size=$block image 100M
done
for log in 0 1 1M 1537k 3M 4096M 8G; do
    make -o log_size=$log image 10M
done
for subformat in fixed dynamic foo ""; do
    make -o "subformat=$subformat" image 20M
done
make -o block_state_zero=off image 20M
make -o block_state_zero=on,subformat=fixed image 20M
make -o block_state_zero=maybe image 20M
make -o preallocation=falloc image 20M
make -o foo=1 image 20M
make -o block_size=x image 20M
make image
make -o size=10M image
: >base
make -b base -F raw image 10M
make -F raw image 10M
make -o backing_file=base image 10M

make image 0
make -o block_size=1M image 0
make -o subformat=fixed image 0
finish
