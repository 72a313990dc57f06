#!/bin/bash
# vdi: both programs say the same of images of either program, and of what cannot be made.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/interop/alike.bash"
need_reference
scratch 200
cd "$T"

for options in static=on static=off static=maybe preallocation=full preallocation=metadata \
    preallocation=foo static=on,preallocation=full foo=1; do
    for size in 0 1 5242881 1G; do
        alike create -f vdi -o $options made $size
    done
done
alike create -f vdi -o help
alike create -f vdi -o help made
alike create -f vdi made 0x1fffff8000001
alike create -f vdi made 1E
alike create -f vdi made
alike create -f vdi -b made -F vdi new 1M
alike measure -O vdi --size 1G

looks() { # IMAGE
    local command
    for command in info "info --output=json" map "map --output=json" "map -s 1000 -l 5M" check \
        "check --output=json" "check -r leaks" "check -r all"; do
        # shellcheck disable=SC2086  # words
        alike $command "$1"
    done
}

pattern text 200000 1 >text.bin
images=()
for options in static=off static=on; do
    image=${options/=/-}
    "$REF" create -q -f vdi -o $options $image $((20 * 1048576 + 700))
    "$REF_IO" -f vdi -c "write -P 3 7M 2k" -c "write -s text.bin 3M 128k" -c "write -P 0 1M 64k" \
        -c "write -P 4 12M 3M" -c "write -P 5 20M 1k" -c "discard 13M 1M" $image >/dev/null
    "$REF" convert -f vdi -O raw $image $image.raw
    good "$IMG" convert -f raw -O vdi -o $options $image.raw $image.ours
    "$REF" check -q $image.ours || bad "the original finds fault with $options"
    "$REF" compare -q -f raw -F vdi $image.raw $image.ours || bad "other content: $options"
    if command -v 7zz >/dev/null; then
        7zz e -so -tvdi $image.ours >seven 2>/dev/null
        checked
        cmp -s seven $image.raw || bad "7-Zip reads wrong: $options"
    fi
    images+=($image $image.ours)
done
"$REF" create -q -f vdi far 8T
"$REF_IO" -f vdi -c "write -P 3 5T 2k" -c "write -P 4 12M 3M" far >/dev/null
looks far
alike convert -c -f vdi -O vdi far new
for image in "${images[@]}"; do
    looks "$image"
    for other in "${images[@]}"; do
        alike compare "$image" "$other"
        alike compare -s "$image" "$other"
    done
    alike compare -s -f vdi -F raw "$image" "${image%.ours}.raw"
done
finish
