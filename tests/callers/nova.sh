#!/bin/bash
# OpenStack Nova: info of disks in use, with options behind the name and under limits; the image
# cache, overlays, resizing.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
callers_begin 300
disk source 40
"$REF" convert -f raw -O qcow2 source image

info() {
    runs prlimit --as=$((1 << 30)) --cpu=30 env LC_ALL=C LANG=C \
        qemu-img info "$1" --force-share --output=json -f "$2"
}

# the image cache: downloaded, looked at, converted
info image qcow2
is "format" "$(key .format)" qcow2
is "virtual-size" "$(key '."virtual-size"')" 41943040
is "backing file" "$(key '."backing-filename", ."full-backing-filename"' | sort -u)" null
is "cluster-size" "$(key '."cluster-size"')" 65536
checked
[ "$(key '."actual-size"')" -gt 0 ] || bad "actual-size"
runs qemu-img convert -t writeback -O raw -f qcow2 image cached.part
reads_as cached.part raw source
mv cached.part cached
runs qemu-img convert -t none -O qcow2 -f raw -c cached snapshot
reads_as snapshot qcow2 source

# the disk of an instance, over the cache
runs qemu-img create -f qcow2 -o "backing_file=$T/cached,backing_fmt=raw,size=60M" disk
runs qemu-img create -f qcow2 -o backing_file="$T/cached",backing_fmt=raw disk.same
info disk qcow2
is "virtual-size" "$(key '."virtual-size"')" 62914560
is "backing-filename" "$(key '."backing-filename"')" "$T/cached"
is "full-backing-filename" "$(key '."full-backing-filename"')" "$T/cached"
is "backing-filename-format" "$(key '."backing-filename-format"')" raw
runs qemu-img resize -f qcow2 disk 83886080
info disk qcow2
is "virtual-size" "$(key '."virtual-size"')" 83886080

# a guest that runs has the disk open, and locked
mkfifo commands
"$REF_IO" -f qcow2 disk <commands >/dev/null &
exec 3>commands
echo "write -P 5 1M 64k" >&3
for i in $(seq 100); do
    "$REF" info disk >/dev/null 2>&1 || break
    sleep 0.05
done
info disk qcow2
is "format of a disk in use" "$(key .format)" qcow2
checked
try qemu-img info disk --output=json -f qcow2
[ $rc = 1 ] && grep -q 'Is another process using the image' "$T/.err" || bad "the lock is not told of"
exec 3>&-
wait

# an overlay is made flat, or comes over another base
runs qemu-img convert -t writeback -O qcow2 -f qcow2 disk flat
checked
"$REF" compare -q disk flat || bad "the flat disk is another one"
cp cached cached2
runs qemu-img rebase -u -b "$T/cached2" -F raw disk
runs qemu-img rebase -b '' disk
checked
"$REF" compare -q disk flat || bad "the disk without its base is another one"
info disk qcow2
is "backing-filename" "$(key '."backing-filename"')" null
finish
