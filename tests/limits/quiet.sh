#!/bin/bash
# How callers run it: success leaves stderr empty, -p is the stream that they parse, the codes are
# the documented ones, no stray file is opened, MPI is left alone without a launcher.
. "$(dirname "$0")/../lib.sh"
need_reference
scratch 300
cd "$T"
pattern text $((8 * 1048576)) >raw
truncate -s 64M raw
"$REF" convert -f raw -O qcow2 raw plain

# progress: "    (12.34/100%)" and a carriage return, again and again, a newline at the end
good "$IMG" convert -p -f raw -O qcow2 raw out || true
tr '\r' '\n' <"$T/.out" >out.lines
grep -qvE '^(    \([0-9]{1,3}\.[0-9]{2}/100%\))?$' out.lines && bad "-p: $(cat -A "$T/.out" | head -c 300)"
tail -c 17 "$T/.out" | grep -q '(100.00/100%)' || bad "-p does not end at 100"
[ "$(tail -c 1 "$T/.out" | od -An -tx1 | tr -d ' ')" = 0a ] || bad "-p does not end in a newline"
grep -oE '[0-9]+\.[0-9]+' out.lines | sort -n -c || bad "-p goes back"
good "$IMG" convert -p -q -f raw -O qcow2 raw out || true
[ ! -s "$T/.out" ] || bad "-q -p prints"

# calls as image services, storage importers and bare-metal deployers make them
good "$IMG" info -f qcow2 --output=json plain || true
jq -e '.format == "qcow2" and ."virtual-size" == 67108864' "$T/.out" >/dev/null || bad "info's keys"
good "$IMG" convert -f qcow2 -O raw plain a.raw || true
good "$IMG" convert -t none -p -O raw plain a.raw || true
good "$IMG" convert -t writeback -p -O raw plain a.raw || true
good "$IMG" convert -p -O raw -o preallocation=falloc plain a.raw || true
good "$IMG" convert -t writeback -p -O raw -S 0 plain a.raw || true
good "$IMG" convert -f qcow2 -O raw -t directsync -S 4k -W plain a.raw || true
good "$IMG" convert -O qcow2 -U -m 16 -W --image-opts driver=qcow2,file.filename=plain a.qcow2 || true
good "$IMG" convert -n -O raw plain a.raw || true
cmp raw a.raw || bad "converted otherwise"

# code WANT CMD...
code() {
    local want=$1
    shift
    try "$@"
    checked
    [ $rc = "$want" ] || bad "exit $rc, not $want: $*"
}
code 0 "$IMG" compare raw plain
cp raw other
put other 5000000 text 10
code 1 "$IMG" compare other plain
code 2 "$IMG" compare raw nothing
code 0 "$IMG" check plain
code 63 "$IMG" check -f raw raw
code 1 "$IMG" check nothing
code 1 "$IMG" convert -O raw nothing out
code 1 "$IMG" nonsense
code 1 "$IMG" convert -O nonsense raw out
code 1 "$IMG" convert -f raw -O qcow2 raw no/such/folder/out

# opened: only the image itself, and what the C library reads
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null && ! is_reference; then
    strace -f -e trace=openat,open,socket,connect -o trace "$IMG" info --output=json plain >/dev/null
    checked
    if grep -E 'libmpi|libpmix|libopen-|socket\(|connect\(' trace; then
        bad "info without a launcher loads MPI or opens sockets"
    fi
else
    echo "note: no strace, the files opened are not looked at"
fi
finish
