#!/bin/bash
# OpenStack Cinder: what info prints for people, parsed line by line; volumes written in place;
# snapshots of volumes that are files: chains that are committed and rebased.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
callers_begin 300
disk source 40
"$REF" convert -f raw -O qcow2 source image

# The parser: "name: value" at the beginning of a line; a size is what stands in "(N bytes)"; a
# backing file what stands in "(actual path: NAME)"; snapshots are lines below a line with "ID".
field() {
    awk -v name="$1" '
        match($0, /^[A-Za-z0-9 _-]+:/) {
            if (tolower(substr($0, 1, RLENGTH - 1)) != name) next
            v = substr($0, RLENGTH + 1)
            sub(/^ +/, "", v)
            if (match(v, /\( *[0-9]+ bytes *\)/)) {
                v = substr(v, RSTART + 1, RLENGTH - 2)
                sub(/ *bytes */, "", v)
            } else if (match(v, /\(actual path: .*\)/)) v = substr(v, RSTART + 14, RLENGTH - 15)
            print v
            exit
        }' "$T/.out"
}

"$REF" snapshot -c first image
"$REF" snapshot -c second image
runs env LC_ALL=C LANG=C qemu-img info image
is "file format" "$(field 'file format')" qcow2
is "virtual size" "$(field 'virtual size')" 41943040
is "cluster_size" "$(field cluster_size)" 65536
is "snapshots" "$(sed -n '/^Snapshot list:/,/^[A-Z][a-z]/p' "$T/.out" | grep -cE '^[0-9]+ +[a-z]+ ')" 2
checked
sed -n '/^Snapshot list:/{n;p;}' "$T/.out" | grep -q '^ID' || bad "no header of the snapshots"
mkdir sub
(cd sub && "$REF" create -q -f qcow2 -b ../image -F qcow2 over)
runs env LC_ALL=C LANG=C qemu-img info sub/over
is "backing file" "$(field 'backing file')" sub/../image

# to a volume, and from it
runs env LC_ALL=C prlimit --as=$((8 << 30)) --cpu=60 qemu-img info --output=json -f qcow2 --force-share image
is "format" "$(key .format)" qcow2
runs qemu-img convert -O raw -f qcow2 image volume
reads_as volume raw source
runs qemu-img info --output=json --force-share volume
is "format of the volume" "$(key .format)" raw
truncate -s 48M large
runs qemu-img convert -O raw -n -t writeback -f qcow2 image large
checked
cmp -n 41943040 large source || bad "the volume has other bytes"
runs qemu-img convert -O qcow2 -c -W -f raw volume upload
reads_as upload qcow2 source
runs qemu-img resize -f qcow2 upload 1G
runs qemu-img info --output=json upload
is "virtual-size" "$(key '."virtual-size"')" 1073741824

# snapshots of a volume that is a file
runs qemu-img create -f raw volume-1 40M
runs qemu-img create -f qcow2 -o "backing_file=$T/volume-1,backing_fmt=raw" volume-1.snap
runs qemu-img rebase -u -b volume-1 -F raw volume-1.snap
"$REF_IO" -c "write -P 7 1M 1M" volume-1.snap >/dev/null
"$REF" convert -O raw volume-1.snap wanted
runs qemu-img commit -f qcow2 volume-1.snap
reads_as volume-1 raw wanted
runs qemu-img create -f qcow2 -o preallocation=metadata volume-2 40M
runs qemu-img rebase -b '' volume-1.snap
finish
