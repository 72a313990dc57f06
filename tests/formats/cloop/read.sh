#!/bin/bash
# What create_compressed_fs made is read to the same bytes and spoken of in the same words.
. "$(dirname "$0")/../../lib.sh"
need_reference
need create_compressed_fs
scratch 200
cd "$T"
. "$TESTS/interop/alike.bash"

# The last block is filled up with zeros, by the tool itself.
reads() {
    local block=$1 file=$2
    create_compressed_fs -q -B "$block" "$file" image >/dev/null 2>&1 || fail "create_compressed_fs -B $block"
    "$REF" convert -O raw image theirs
    good "$IMG" convert -O raw image ours || return 0
    cmp ours theirs || bad "block $block: read otherwise"
    head -c "$(stat -c %s "$file")" ours | cmp - "$file" || bad "block $block: not what was packed"
    good "$IMG" compare -q -F raw image theirs || true
    alike info image
    alike info --output=json image
    alike map --output=json image
}

pattern text 3000000 >raw
put raw 1000448 noise 300032
put raw 1500160 zero 700416
head -c 66000 raw >tiny
for block in 4096 65536 131072 1048576; do
    reads $block raw
done
reads 65536 tiny
alike map image
alike check image
alike compare image image
alike info -f cloop raw
alike create -f cloop new 1M
alike convert -O cloop raw new
finish
