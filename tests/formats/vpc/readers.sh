#!/bin/bash
# vpc: what we write is read by programs of other makers, and a fixed image is as Azure takes it.
. "$(dirname "$0")/../../lib.sh"
need_reference
scratch 400
cd "$T"
truncate -s $((41 * 1048576 + 1536)) guest
put guest 0 text 200000 1
put guest $((3 * 1048576 - 700)) noise 300000 2
put guest $((12 * 1048576 + 65536)) noise 65536 3
put guest $((41 * 1048576)) noise 1536 5

# read_with NAME: guest's bytes, then zeros, come from stdin
read_with() {
    cat >read.out
    checked
    truncate -s "$(stat -c %s read.out)" guest
    cmp -s guest read.out || bad "$1 reads wrong: $options"
    truncate -s $((41 * 1048576 + 1536)) guest
}

for options in subformat=dynamic subformat=fixed subformat=dynamic,force_size=on \
    subformat=fixed,force_size=on; do
    rm -f image.vhd
    good "$IMG" convert -f raw -O vpc -o $options guest image.vhd
    "$REF" compare -q -f raw -F vpc guest image.vhd || bad "the original finds a difference: $options"
    if command -v 7zz >/dev/null; then
        7zz e -so -tvhd image.vhd 2>/dev/null | read_with 7-Zip
    fi
    if command -v vhdiinfo >/dev/null; then
        good vhdiinfo image.vhd
        grep -q "Disk type.*: $([[ $options = *fixed* ]] && echo Fixed || echo Dynamic)" .out ||
            bad "vhdiinfo: another type: $options"
    fi
    if command -v vhdimount >/dev/null && [ -w /dev/fuse ]; then
        mkdir -p mounted
        if vhdimount image.vhd mounted >/dev/null 2>&1; then
            read_with libvhdi <mounted/vhdi1
            umount mounted || fusermount -u mounted
        fi
    fi
done

# fixed, whole MiB, and 512 bytes: the size field counts, not the geometry
truncate -s 42M guest
good "$IMG" convert -f raw -O vpc -o subformat=fixed,force_size=on guest azure.vhd
checked
[ "$(stat -c %s azure.vhd)" = $((42 * 1048576 + 512)) ] || bad "not whole MiB and a footer"
[ "$(be azure.vhd $((42 * 1048576 + 48)) 8)" = $((42 * 1048576)) ] || bad "current size"
[ "$(be azure.vhd $((42 * 1048576 + 60)) 4)" = 2 ] || bad "type"
cmp -s -n $((42 * 1048576)) guest azure.vhd || bad "the data does not begin at 0"

# every block's bitmap says that all of it is in use, and its data stands on a page
good "$IMG" convert -f raw -O vpc guest image.vhd
perl -e '
    open(my $f, "<:raw", $ARGV[0]) or die; local $/; my $d = <$f>; my $n = 0;
    for (unpack("N*", substr($d, 1536, 4 * unpack("N", substr($d, 540, 4))))) {
        next if $_ == 0xffffffff;
        $n++;
        die "bitmap" if substr($d, $_ * 512, 512) ne "\xff" x 512;
        die "page" if ($_ + 1) % 8;
    }
    die "blocks" unless $n;' image.vhd || bad "blocks of $options"
finish
