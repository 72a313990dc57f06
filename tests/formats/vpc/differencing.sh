#!/bin/bash
# Differencing VHD: sectors whose bit is clear come from the parent, of whatever kind it is; parents
# are found by the name that this system understands; another image of that name is refused. The
# content is also what 7-Zip makes of it.
. "$(dirname "$0")/../../lib.sh"
need_reference
need_ours # the original reads them without their parent
need perl
scratch 300
cd "$T"
make="$TESTS/formats/vpc/make-differencing"

# -- a parent, a child, a grandchild; what they should read as ---------------------------------------

pattern noise 300000 1 >noise.bin
pattern text 300000 2 >text.bin
made() { # NAME SUBFORMAT COMMAND...: in the size of all of them
    local name=$1 subformat=$2 list=() c
    shift 2
    for c; do
        list+=(-c "$c")
    done
    "$REF" create -q -f vpc -o "subformat=$subformat,force_size=on" "$name" 20M
    "$REF_IO" -f vpc "${list[@]}" "$name" >/dev/null
    "$REF" convert -f vpc -O raw "$name" "$name.raw"
}

# over LOWER UPPER OUT: the upper image's sectors that are not zeros, else the lower's
over() {
    perl -e '
        local $/ = \512; my @f;
        for (0 .. 1) { open($f[$_], "<:raw", $ARGV[$_]) or die }
        open(my $o, ">:raw", $ARGV[2]) or die;
        while (defined(my $low = readline($f[0]))) {
            my $high = readline($f[1]);
            print $o $high =~ /[^\0]/ ? $high : $low;
        }' "$1" "$2" "$3"
}

parent=("write -s noise.bin 0 256k" "write -P 1 3M 2M" "write -s text.bin 9M 256k" "write -P 2 19M 1M")
made parent.vhd dynamic "${parent[@]}"
made fixed.vhd fixed "${parent[@]}"
made child.vhd dynamic "write -s text.bin 100k 128k" "write -P 3 3500k 512" "write -P 4 3502k 1k" \
    "write -P 5 12M 3M"
made grandchild.vhd dynamic "write -P 6 105k 512" "write -P 7 19500k 300k" "write -P 8 13M 5k"
over parent.vhd.raw child.vhd.raw child.should
over child.should grandchild.vhd.raw grandchild.should
cp child.vhd child.plain
perl "$make" child.vhd parent.vhd 'W2ku=D:\images\elsewhere.vhd' 'W2ru=.\parent.vhd' \
    'name=D:\images\elsewhere.vhd'
perl "$make" grandchild.vhd child.vhd 'name=child.vhd'

# reads IMAGE SHOULD
reads() {
    good "$IMG" convert -f vpc -O raw "$1" out || return 0
    cmp -s out "$2" || bad "$1 reads wrong"
    good "$IMG" compare -q -f vpc -F raw "$1" "$2"
    good "$IMG" convert -f vpc -O vpc -o force_size=on "$1" flat
    "$REF" compare -q -f vpc -F raw flat "$2" || bad "$1 does not convert"
}

reads child.vhd child.should
reads grandchild.vhd grandchild.should
if command -v 7zz >/dev/null; then
    7zz e -so -tvhd child.vhd >seven 2>/dev/null
    checked
    cmp -s seven child.should || bad "7-Zip reads the child in another way: the test is wrong"
fi

# -- names of the parent -----------------------------------------------------------------------------

mkdir -p deep/down
named() { # CODE=NAME...: the child finds it
    cp child.plain deep/child.vhd
    perl "$make" deep/child.vhd parent.vhd "$@"
    reads deep/child.vhd child.should
}
cp parent.vhd deep/
cp parent.vhd "deep/down/odd name.vhd"
named 'W2ku=C:\parent.vhd'
named 'W2ru=.\down\odd name.vhd'
named 'W2ru=..\parent.vhd'
named 'MacX=file://localhost'"$T"'/deep/down/odd%20name.vhd'
named "W2ku=$T/parent.vhd"
named 'W2ru=parent.vhd' 'MacX=file:///nowhere'
named 'Wi2k=E:\x\parent.vhd'
named 'name=C:\x\parent.vhd'

cp child.plain other.vhd # the parent is a fixed image, which cannot be probed
perl "$make" other.vhd fixed.vhd 'W2ru=fixed.vhd'
reads other.vhd child.should

try "$IMG" info child.vhd
checked
grep -qx "backing file: ./parent.vhd" .out || bad "info tells no backing file: $(cat .out)"
grep -qx "backing file format: vpc" .out || bad "info tells no backing format"

# -- what must be refused ----------------------------------------------------------------------------

refuse() { # WORDS ARGS...
    local words=$1
    shift
    try "$IMG" "$@"
    checked
    [ $rc = 1 ] && grep -q "$words" .err || bad "exit $rc: $*: $(cat .err)"
    [ "$(wc -l <.err)" = 1 ] || bad "not one line: $*: $(cat .err)"
}
cp parent.vhd parent.keep
patch_bytes parent.vhd 68 00
perl -e '
    open(my $f, "+<", $ARGV[0]) or die; read($f, my $b, 512); substr($b, 64, 4) = "\0" x 4;
    my $s = 0; $s += $_ for unpack("C*", $b); substr($b, 64, 4) = pack("N", ~$s & 0xffffffff);
    seek($f, 0, 0); print $f $b' parent.vhd
refuse "their UUIDs differ" convert -f vpc -O raw child.vhd out
rm parent.vhd
refuse "Could not open backing file: .*No such file" convert -f vpc -O raw child.vhd out
good "$IMG" info child.vhd
mv parent.keep parent.vhd
cp child.plain nameless.vhd
perl "$make" nameless.vhd parent.vhd
refuse "without the name of its parent" info nameless.vhd
cp child.plain loop.vhd
perl "$make" loop.vhd loop.vhd 'W2ru=loop.vhd'
refuse "infinite loop" map loop.vhd
refuse "Backing file not supported for file format 'vpc'" create -f vpc -b parent.vhd -F vpc new.vhd
finish
