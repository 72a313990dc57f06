#!/bin/bash
# vpc: both programs say the same of images of either program, and of what cannot be made.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/interop/alike.bash"
need_reference
need perl
scratch 300
cd "$T"

# -- create: the line, the help, the errors, the bytes but identifiers ------------------------------

same_made() { # OPTIONS SIZE: words; the rest of both files must be equal
    local options=$1 size=$2 from
    rm -f a b
    # shellcheck disable=SC2086  # words
    "$REF" create -q -f vpc $options a "$size" && good "$IMG" create -q -f vpc $options b "$size"
    checked
    [ "$(stat -c %s a)" = "$(stat -c %s b)" ] || bad "another length: $options $size"
    for from in a b; do # without time, checksum and UUID
        perl -e '
            local $/; open(my $f, "<:raw", $ARGV[0]) or die; my $d = <$f>;
            for my $at (0, length($d) - 512) {
                next if substr($d, $at, 8) ne "conectix";
                substr($d, $at + 24, 4) = substr($d, $at + 64, 4) = "\0" x 4;
                substr($d, $at + 68, 16) = "\0" x 16;
            }
            print $d' $from >$from.plain
    done
    cmp -s a.plain b.plain || bad "other bytes: $options $size"
}

sizes="0 1 512 1000 1M 10M 64M 127M 500M 504M 505M 1G 4G 32G 127G 128G 2040G 136899993600
    136899993601 136899993088 136897905152 136897905664 136897904640"
sizes+=" $(perl -e 'srand(4); print int(2 ** (10 + rand(30))), " " for 1 .. 25')"
for size in $sizes; do
    same_made "" "$size"
    same_made "-o force_size=on" "$size"
done
for size in 1 1000001 5M; do
    same_made "-o subformat=fixed" $size
    same_made "-o subformat=fixed,force_size=on" $size
done
for options in subformat=fixed subformat=dynamic subformat=foo force_size=on force_size=maybe \
    preallocation=full preallocation=metadata preallocation=foo foo=1 subformat=fixed,force_size=on; do
    alike create -f vpc -o $options made 3M
done
alike create -f vpc -o help
alike create -f vpc -o help made
alike create -f vpc made 2041G
alike create -f vpc -o force_size=on made 2190433320961
alike create -f vpc -b made -F vpc new 1M
alike create -f vpc made
truncate -s 2041G large
alike convert -f raw -O vpc large new
alike convert -c -f raw -O vpc large new
alike measure -O vpc --size 1G

# -- info, map, check, compare ----------------------------------------------------------------------

looks() { # IMAGE
    local command
    for command in info "info --output=json" map "map --output=json" "map -s 1000 -l 5M" check \
        "check --output=json" "check -r all"; do
        # shellcheck disable=SC2086  # words
        alike $command -f vpc "$1"
    done
}

pattern text 200000 1 >text.bin
images=()
i=0
for options in force_size=on subformat=dynamic subformat=fixed; do
    image=image$((i += 1))
    "$REF" create -q -f vpc -o $options $image 20000001
    "$REF_IO" -f vpc -c "write -P 3 7M 2k" -c "write -s text.bin 3M 128k" -c "write -P 0 1M 64k" \
        -c "write -P 4 12M 3M" $image >/dev/null
    "$REF" convert -f vpc -O raw $image $image.raw
    good "$IMG" convert -f raw -O vpc -o $options $image.raw $image.ours
    images+=($image $image.ours)
done
"$REF" create -q -f vpc far 300G
"$REF_IO" -f vpc -c "write -P 3 200G 2k" -c "write -P 4 12M 3M" far >/dev/null
looks far
for image in "${images[@]}"; do
    looks "$image"
    for other in "${images[@]}"; do
        alike compare -f vpc -F vpc "$image" "$other"
        alike compare -s -f vpc -F vpc "$image" "$other"
    done
    alike compare -s -f vpc -F raw "$image" "${image%.ours}.raw"
done
for mode in chs current_size foo ""; do
    alike info --image-opts "driver=vpc,force_size_calc=$mode,file.filename=image1"
done
pattern noise 100000 >noise
alike info -f vpc noise
head -c 100 noise >tiny
alike info -f vpc tiny
finish
