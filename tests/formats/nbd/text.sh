#!/bin/bash
# nbd: names, options, maps and failures read as the original's.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/../../servers.sh"
need_reference
scratch 100
need_nbd
cd "$T"
nbd_serve memory 16M
at=server.type=unix,server.path=$T/nbd.sock

# what is no address
for name in nbd: nbd:127.0.0.1 nbd:unix: nbd:127.0.0.1:foo nbd:unix:x:exportname= nbd:// \
    nbd+unix:/// 'nbd+unix:///?foo=bar' nbd://127.0.0.1:99999/ nbds://127.0.0.1:1 nbd:127.0.0.1:1 \
    nbd://127.0.0.1:1/foo nbd://localhost:1/ "nbd+unix:///a/b?socket=$T/nope" \
    "nbd+unix:///?socket=$(printf 'x%.0s' {1..120})"; do
    like_reference info "$name"
done
for opts in "" ,path=x,host=y ,path=x,port=1 ,port=1 ,host=127.0.0.1,port=1 ,server.type=inet \
    ,server.type=inet,server.host=127.0.0.1 ,server.type=inet,server.port=1 ,server.type=unix \
    ,server.type=bogus,server.path=x ,server.path=x ",$at,server.bogus=1" ",$at,bogus=1" \
    ",$at,path=x" ",$at,reconnect-delay=x" ",$at,open-timeout=x" ",$at,export=$(printf 'x%.0s' {1..4100})" \
    ,server.type=inet,server.host=127.0.0.1,server.port=1,server.ipv6=x; do
    like_reference info --image-opts "driver=nbd$opts"
done

# what it is called
for name in "$URI" "nbd:unix:$T/nbd.sock" "nbd:unix:$T/nbd.sock:exportname=foo" \
    "nbd+unix:///foo?socket=$T/nbd.sock" "json:{\"driver\":\"nbd\",\"path\":\"$T/nbd.sock\",\"export\":5}" \
    "json:{\"driver\":\"raw\",\"size\":1024,\"file\":{\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"$T/nbd.sock\"}}}"; do
    like_reference info "$name"
    like_reference info --output=json "$name"
    like_reference map "$name"
done
like_reference info -f nbd "$URI"
like_reference info --image-opts "driver=nbd,$at,reconnect-delay=1,open-timeout=1"
like_reference measure -O qcow2 "$URI"
like_reference check "$URI"

# targets
truncate -s 1M small
truncate -s 17M large
like_reference convert -O raw large "$URI"
like_reference convert -n -O raw large "$URI"
like_reference convert -O raw -o preallocation=full small "$URI"
like_reference convert -O raw -o nocow=on small "$URI"
like_reference create -f raw "$URI" 17M
like_reference create -f raw "$URI" 1M
like_reference create -f qcow2 "$URI" 8M
like_reference info "$URI"
like_reference check "$URI"
like_reference create -f raw "$URI" 1M
like_reference info "$URI"
like_reference create -f raw -o help "$URI"
like_reference create -f qcow2 -o help "$URI"
like_reference create -f raw "json:{\"driver\":\"nbd\",\"path\":\"$T/nbd.sock\"}" 1M
nbd_serve -r memory 16M
like_reference convert -O raw small "$URI"
like_reference convert -n -O raw small "$URI"
like_reference create -f raw "$URI" 1M
nbd_stop
like_reference convert -O raw small "$URI"
like_reference convert -n -O raw small "$URI"
like_reference create -f qcow2 "$URI" 1M
like_reference compare small "$URI"

nbd_serve --filter=exportname memory 1M exportname=a exportname-strict=true
like_reference info "nbd+unix:///nope?socket=$T/nbd.sock"
like_reference info "nbd+unix:///a?socket=$T/nbd.sock"
finish
