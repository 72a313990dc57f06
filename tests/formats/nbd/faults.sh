#!/bin/bash
# nbd: servers that fail, vanish, lie or keep silent: one clear line, soon, and no output left.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/../../servers.sh"
need_ours
scratch 300
need_nbd
cd "$T"
pattern noise $((16 * 1048576)) >disk
lost="Input/output error (the NBD server at '$T/nbd.sock' is gone)"

# one_line CMD...: fails with one line, beside the one about the output that was removed
one_line() {
    local start=$SECONDS
    try timeout 60 "$@"
    checked
    [ $rc = 1 ] && [ "$(grep -vc '^The unfinished output' "$T/.err")" = 1 ] && [ $((SECONDS - start)) -lt 20 ] && return 0
    bad "exit $rc after $((SECONDS - start)) s: $*"
    sed 's/^/    /' "$T/.err" >&2
}

nbd_serve --filter=error file disk error-pread=ENOSPC error-pread-rate=100%
says "Could not open '$URI': Could not read image for determining its format: No space left on device" \
    info "$URI"
says "error while reading at byte 0: No space left on device" convert -f raw -O raw "$URI" out
[ ! -e out ] || bad "an output was left"
nbd_serve --filter=error file disk error-pwrite-rate=100%
says "error while writing at byte 0: Input/output error" convert -n -f raw -O raw disk "$URI"
nbd_serve --filter=error memory 16M error-zero-rate=100%
truncate -s 16M zeros
says "error while writing at byte 0: Input/output error" convert -n -f raw -O raw zeros "$URI"
nbd_serve --filter=error file disk error-extents-rate=100%
says "error while reading block status at offset 0: Input/output error" \
    convert -f raw -O raw "$URI" out
nbd_serve eval get_size='echo 1M' pread='dd if=/dev/zero bs=$3 count=1 status=none' \
    pwrite='cat >/dev/null' flush='echo EIO >&2; exit 1' can_flush='exit 0' can_zero='exit 3' \
    can_write='exit 0'
head -c 1048576 disk >part
says "$URI: Input/output error" convert -n -f raw -O raw part "$URI"

# killed while it works
for cmd in read write; do
    args=(convert -f raw -O raw "$URI" out)
    [ $cmd = read ] || args=(convert -n -f raw -O raw disk "$URI")
    nbd_serve --filter=delay file disk delay-read=2 delay-write=2
    (sleep 0.7; kill_pidfile "$T/nbd.pid" -KILL) &
    one_line "$IMG" "${args[@]}"
    wait
    grep -q "$lost" "$T/.err" || bad "not said that the server is gone: $(cat "$T/.err")"
    [ ! -e out ] || bad "an output was left"
done

# asked to wait for it: a server that comes back is read on
nbd_serve --filter=delay file disk delay-read=1500ms
(sleep 0.5; kill_pidfile "$T/nbd.pid" -KILL; rm -f nbd.sock; sleep 0.5; nbdkit -U "$T/nbd.sock" -P "$T/nbd.pid" file disk) &
good "$IMG" convert --image-opts -O raw \
    driver=raw,file.driver=nbd,file.path="$T/nbd.sock",file.reconnect-delay=10 out
wait
cmp disk out || bad "after the server came back: other bytes"
rm -f out
nbd_stop
(sleep 1; nbdkit -U "$T/nbd.sock" -P "$T/nbd.pid" file disk) &
good "$IMG" convert --image-opts -O raw \
    driver=raw,file.driver=nbd,file.path="$T/nbd.sock",file.open-timeout=10 out
wait
nbd_stop

# no nbd servers
unix_server() {
    rm -f nbd.sock
    perl -MIO::Socket::UNIX -e '
        $SIG{PIPE} = "IGNORE";
        my $s = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 5) or die;
        while (my $c = $s->accept) { eval $ARGV[1]; }' "$T/nbd.sock" "$1" </dev/null >/dev/null 2>&1 &
    echo $! >nbd.pid
    for _ in $(seq 100); do [ -S nbd.sock ] && break; sleep 0.05; done
}
unix_server 'syswrite $c, "HTTP/1.1 400 Bad Request\r\n\r\n" x 10; close $c'
one_line "$IMG" info "$URI"
nbd_stop
unix_server 'close $c'
one_line "$IMG" info "$URI"
nbd_stop
unix_server 'push @keep, $c'
says "Could not open 'driver=nbd,path=$T/nbd.sock,open-timeout=1': The NBD server at '$T/nbd.sock' does not answer" \
    info --image-opts "driver=nbd,path=$T/nbd.sock,open-timeout=1"
# told to stop while it waits
start=$SECONDS
try timeout -s INT 1 "$IMG" info "$URI"
checked
[ $((SECONDS - start)) -lt 5 ] || bad "a silent server held up an interrupt"
nbd_stop
# it says that it has 2^63 - 1 bytes, then nothing but trash
unix_server 'syswrite $c, "NBDMAGIC" . pack("Q>", 0x0000420281861253) . pack("Q>nn", 0x7fffffffffffffff, 0, 1) . ("\0" x 124); sysread $c, $b, 28; syswrite $c, "trash" x 100; close $c'
one_line "$IMG" info "$URI"
nbd_stop

# TLS is not ours
says "Could not open 'driver=nbd,path=x,tls-creds=t': NBD over TLS (tls-creds) is not supported" \
    info --image-opts driver=nbd,path=x,tls-creds=t

# for one client, and one rank too many: nobody waits for ever
if command -v qemu-nbd >/dev/null && command -v mpirun >/dev/null; then
    nbd_serve_qemu -r -f raw disk
    try timeout 60 mpirun -n 2 --oversubscribe "$IMG" convert --image-opts -O raw \
        driver=raw,file.driver=nbd,file.path="$T/nbd.sock",file.open-timeout=2 out
    checked
    [ $rc != 0 ] && [ $rc != 124 ] || bad "a server for one client, two ranks: exit $rc"
    grep -q "does not answer" "$T/.err" || bad "a server for one client, two ranks: $(cat "$T/.err")"
fi
finish
