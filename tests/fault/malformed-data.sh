#!/bin/bash
# qcow2 cut short, in loops, with damaged packed data.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/malformed.bash"

# cut short at every structure
for size in 0 3 71 72 104 111 112 500 65535 65536 131072 131080 196608 262144 300000; do
    cp good bad
    truncate -s $size bad
    survive "cut to $size"
done

# an image that names itself, and two that name each other
"$REF" create -q -u -f qcow2 -b bad -F qcow2 self 8M
mv self bad
survive "its own backing file"
"$REF" create -q -u -f qcow2 -b bad -F qcow2 other 8M
"$REF" create -q -u -f qcow2 -b other -F qcow2 bad 8M
survive "a loop of two"

# packed data that is damaged
"$REF" convert -f raw -O qcow2 -c text.bin packed
"$REF" convert -f raw -O qcow2 -c -o compression_type=zstd text.bin packed-zstd
for source in packed packed-zstd; do
    for at in 0 1 2 10 100 1000 5000; do
        for value in 00 01 7f 80 ff; do
            cp $source bad
            patch_bytes bad $((327680 + at)) $value$value$value
            survive "$source, stream at $at"
        done
    done
done
finish
