#!/bin/bash
# http: servers that fail, change the file or send something else: one clear line, no output left.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/../../servers.sh"
need_ours
scratch 100
need_http
cd "$T"
size=$((4 * 1048576))
http_serve_bad $size

for path in good nohead; do
    good "$IMG" convert -f raw -O raw "$WEB/$path" out
    [ "$(stat -c %s out)" = $size ] || bad "$path: $(stat -c %s out) bytes"
    perl -e 'open(my $f, "<", "out"); local $/ = \8; my $at = 0;
        while (<$f>) { die "at $at\n" if unpack("Q<", $_) != $at; $at += 8 }' || bad "$path: other bytes"
    rm -f out
done
says "Could not open '$WEB/nolength': CURL: Error opening file: Server didn't report file size." \
    info "$WEB/nolength"
says "Could not open '$WEB/loops': CURL: Error opening file: Maximum (30) redirects followed" \
    info "$WEB/loops"
try "$IMG" info "$WEB/local"
checked
[ $rc = 1 ] && ! grep -q root .out .err || bad "it followed a redirect to a local file"

failed="error while reading at byte $((size / 2)): Input/output error"
reads() {
    try timeout 60 "$IMG" convert -f raw -O raw "$2" out
    checked
    [ $rc = 1 ] && [ "$(head -1 .err)" = "mpi-img: $1" ] && [ ! -e out ] && return 0
    bad "exit $rc: $2"
    printf '    wanted: %s\n' "$1" >&2
    sed 's/^/    /' .err >&2
}
reads "error while reading at byte 0: Input/output error (the server sent the whole file, not the range that was asked for)" "$WEB/ignores"
reads "$failed (transfer closed with 1048476 bytes remaining to read)" "$WEB/short"
reads "$failed (the server sent less than was asked for)" "$WEB/shorter"
reads "$failed (the server sent more than was asked for)" "$WEB/longer"
reads "$failed (the file has changed its size on the server)" "$WEB/changed"
reads "$failed (the server sent another range than was asked for)" "$WEB/shifted"
reads "$failed (The requested URL returned error: 503)" "$WEB/busy"
reads "$failed (Empty reply from server)" "$WEB/closes"

# silence ends after the time that was given
start=$SECONDS
try timeout 60 "$IMG" convert --image-opts -O raw "driver=raw,file.driver=http,file.url=$WEB/stalls,file.timeout=2" out
checked
[ $rc = 1 ] && [ $((SECONDS - start)) -lt 15 ] || bad "a silent server: exit $rc after $((SECONDS - start)) s"
# and an interrupt ends it at once
start=$SECONDS
try timeout -s INT 2 "$IMG" convert --image-opts -O raw "driver=raw,file.driver=http,file.url=$WEB/stalls,file.timeout=60" out
checked
[ $((SECONDS - start)) -lt 6 ] || bad "a silent server held up an interrupt"
finish
