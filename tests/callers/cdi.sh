#!/bin/bash
# KubeVirt's Containerized Data Importer: info of files and of web pages, convert with a progress
# that is parsed, blank disks, larger ones.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
. "$TESTS/servers.sh"
callers_begin 400
disk source 80
"$REF" convert -f raw -O qcow2 source image.qcow2

info() {
    runs prlimit --as=$((1 << 30)) --cpu=30 qemu-img info --output=json "$1"
}
for format in qcow2 vmdk vdi vpc vhdx; do
    [ $format = qcow2 ] || "$REF" convert -f raw -O $format source image.$format
    info image.$format
    is "format" "$(key .format)" $format
    is "backing-filename" "$(key '."backing-filename" // empty')" ""
    checked
    [ "$(key '."virtual-size"')" -ge 83886080 ] || bad "virtual-size of $format"
    checked
    [ "$(key '."actual-size"')" -gt 0 ] || bad "actual-size of $format"
done
info source
is "format" "$(key .format)" raw

for cache in none writeback; do
    runs qemu-img convert -t $cache -p -O raw image.qcow2 disk.img
    progress_ok
    reads_as disk.img raw source
    rm disk.img
done
# options behind the names
runs qemu-img convert -t writeback -p -O raw image.qcow2 disk.img -o preallocation=falloc
reads_as disk.img raw source
checked
[ "$(stat -c %b disk.img)" -ge $((80 << 11)) ] || bad "not preallocated"
rm disk.img
runs qemu-img convert -t writeback -p -O raw image.qcow2 disk.img -S 0
reads_as disk.img raw source

runs qemu-img resize -f raw disk.img 104857600
is "size" "$(stat -c %s disk.img)" 104857600
runs qemu-img resize --preallocation=falloc -f raw disk.img 115343360
is "size" "$(stat -c %s disk.img)" 115343360
runs qemu-img create -f raw blank.img 10485760
is "size" "$(stat -c %s blank.img)" 10485760
runs qemu-img create -f raw full.img 10485760 -o preallocation=falloc
checked
[ "$(stat -c %b full.img)" -ge $((10 << 11)) ] || bad "not preallocated"

# a chain of downloads
"$REF" create -q -f qcow2 -b image.qcow2 -F qcow2 delta.qcow2
"$REF_IO" -c "write -P 9 5M 1M" delta.qcow2 >/dev/null
"$REF" convert -O raw delta.qcow2 wanted
cp image.qcow2 base.qcow2
runs qemu-img rebase -p -u -F qcow2 -b base.qcow2 delta.qcow2
runs qemu-img commit -p delta.qcow2
reads_as base.qcow2 qcow2 wanted

# straight from a server
json() {
    echo "json: {\"file.driver\": \"http\", \"file.url\": \"$1\", \"file.timeout\": 3600}"
}
if command -v nginx >/dev/null && "$REF" --help | grep -q ' http '; then
    at_exit+=(http_stop)
    chmod go+x "$T" # whom nginx runs as
    mkdir web
    cp image.qcow2 web
    http_serve "$T/web"
    info "$(json "$WEB/image.qcow2")"
    is "format" "$(key .format)" qcow2
    if ! is_reference; then # which waits for ever here
        runs qemu-img convert -t none -p -O raw "$(json "$WEB/image.qcow2")" web.img
        progress_ok
        reads_as web.img raw source
    fi
fi
if command -v nbdkit >/dev/null && "$REF" --help | grep -q ' nbd '; then
    at_exit+=(nbd_stop)
    nbd_serve file image.qcow2
    info "$URI"
    is "format" "$(key .format)" qcow2
    runs qemu-img convert -t writeback -p -O raw "$URI" nbd.img
    progress_ok
    reads_as nbd.img raw source
fi
finish
