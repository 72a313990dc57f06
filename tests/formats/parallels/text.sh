#!/bin/bash
# parallels: both programs say the same of images of either program, and of what cannot be made.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/interop/alike.bash"
need_reference
need perl
scratch 300
cd "$T"

for options in cluster_size=1M cluster_size=1 cluster_size=0 cluster_size=513 cluster_size=4G \
    cluster_size=x preallocation=metadata preallocation=full preallocation=foo foo=1; do
    for size in 0 1 5242881 1G; do
        alike create -f parallels -o $options made $size
    done
done
alike create -f parallels -o help
alike create -f parallels -o help made
alike create -f parallels -o cluster_size=64k made 300T
alike create -f parallels made 5E
alike create -f parallels made
alike create -f parallels -b made -F parallels new 1M
alike measure -O parallels --size 1G

# an image without data is the same to the byte, but for its length
for size in 0 1 512 1000 64M 3G; do
    for cluster in 512 12288 65536 1M 3M; do
        "$REF" create -q -f parallels -o cluster_size=$cluster a $size
        good "$IMG" create -q -f parallels -o cluster_size=$cluster b $size
        checked
        cmp -s a b || bad "other bytes: cluster $cluster, size $size"
    done
done

looks() { # IMAGE
    local command
    for command in info "info --output=json" map "map --output=json" "map -s 1000 -l 5M" check \
        "check --output=json"; do
        # shellcheck disable=SC2086  # words
        alike $command -f parallels "$1"
    done
}

pattern text 200000 1 >text.bin
images=()
for cluster in 1M 12288 64k 512 3M; do
    image=cluster-$cluster
    "$REF" create -q -f parallels -o cluster_size=$cluster $image 20000001
    "$REF_IO" -f parallels -c "write -P 3 7M 2k" -c "write -s text.bin 3M 128k" \
        -c "write -P 4 12M 3M" -c "write -P 5 1M 1k" $image >/dev/null
    "$REF" convert -f parallels -O raw $image $image.raw
    good "$IMG" convert -f raw -O parallels -o cluster_size=$cluster $image.raw $image.ours
    "$REF" check -q $image.ours || bad "the original finds fault with cluster_size=$cluster"
    "$REF" compare -q -f raw -F parallels $image.raw $image.ours ||
        bad "other content: cluster_size=$cluster"
    good "$IMG" compare -q -f raw -F parallels $image.raw $image
    images+=($image $image.ours)
done

# the old magic: entries in sectors
cp cluster-1M old
perl -e '
    open(my $f, "+<:raw", $ARGV[0]) or die; read($f, my $d, 64 + 80);
    substr($d, 0, 16) = "WithoutFreeSpace";
    substr($d, 64) = pack("V*", map { $_ * 2048 } unpack("V*", substr($d, 64)));
    seek($f, 0, 0); print $f $d' old
images+=(old)
good "$IMG" compare -q -f raw -F parallels cluster-1M.raw old

"$REF" create -q -f parallels far 300G
"$REF_IO" -f parallels -c "write -P 3 200G 2k" -c "write -P 4 12M 3M" far >/dev/null
looks far
alike convert -c -f parallels -O parallels far new
for image in "${images[@]}"; do
    looks "$image"
    alike compare -f parallels -F parallels "$image" cluster-1M
    alike compare -s -f parallels -F parallels "$image" cluster-1M
    alike compare -s -f parallels -F raw "$image" cluster-1M.raw
done
finish
