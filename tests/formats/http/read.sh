#!/bin/bash
# http: images on a web server read, and read like the original.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/../../servers.sh"
PATH=$PATH:/usr/sbin
need_reference
need nginx openssl
scratch 300
need_http
cd "$T"
chmod 755 "$T"
mkdir www
truncate -s 20M www/disk
for at in 0 1 5 6 13 18; do put www/disk $((at * 1048576 + at * 5000)) noise $((at * 50000 + 70000)) "$at"; done
truncate -s 20M www/disk
"$REF" convert -f raw -O qcow2 www/disk www/d.qcow2
"$REF" convert -f raw -O qcow2 -c www/disk www/c.qcow2
head -c 1000001 www/disk >www/odd
: >www/empty
printf 'u:%s\n' "$(openssl passwd -apr1 p)" >users
http_serve "$T/www" "
    location /norange/ { alias $T/www/; max_ranges 0; }
    location /redir/ { rewrite ^/redir/(.*)\$ /\$1 redirect; }
    location /err { return 500; }
    location /auth/ { alias $T/www/; auth_basic x; auth_basic_user_file $T/users; }
    location /cookie/ { if (\$http_cookie != \"a=b; c=d\") { return 403; } alias $T/www/; }"
"$REF" info "$WEB/disk" >/dev/null 2>&1 || skip "the original has no http driver (qemu-block-extra)"

# what it says
for name in disk d.qcow2 nope norange/disk redir/disk err auth/disk cookie/disk empty odd ""; do
    like_reference info "$WEB/$name"
    like_reference info --output=json "$WEB/$name"
done
like_reference info -f http "$WEB/disk"
like_reference map "$WEB/d.qcow2"
like_reference map --output=json "$WEB/disk"
like_reference map "$WEB/empty"
like_reference check "$WEB/d.qcow2"
like_reference measure -O qcow2 "$WEB/d.qcow2"
like_reference convert -O raw www/disk "$WEB/new"
like_reference convert -n -O raw www/disk "$WEB/new"
like_reference create "$WEB/new" 1M
for name in http: http:/x http://127.0.0.1:1/x ftp://127.0.0.1:1/x; do
    like_reference info "$name"
done
secret='--object secret,id=s,data=p --object secret,id=q,data=q'
for opts in "" ",url=https://x/" ",url=$WEB/disk,bogus=1" ",url=$WEB/disk,readahead=100" \
    ",url=$WEB/disk,readahead=0" ",url=$WEB/disk,readahead=x" ",url=$WEB/disk,timeout=x" \
    ",url=$WEB/disk,timeout=10001" ",url=$WEB/disk,timeout=0" ",url=$WEB/disk,sslverify=x" \
    ",url=$WEB/disk,sslverify=off" ",url=$WEB/cookie/disk,cookie=a=b; c=d" \
    ",url=$WEB/auth/disk,username=u,password-secret=s" \
    ",url=$WEB/auth/disk,username=u,password-secret=q" ",url=$WEB/auth/disk,username=u" \
    ",url=$WEB/disk,password-secret=none" ",url=$WEB/disk,proxy-password-secret=none" \
    ",url=$WEB/disk,cookie=x,cookie-secret=s" ",url=$WEB/disk,proxy-username=x,proxy-password-secret=s"; do
    # shellcheck disable=SC2086
    like_reference info $secret --image-opts "driver=http$opts"
done
like_reference info --object "secret,id=c,data=a=b; c=d" \
    --image-opts "driver=qcow2,file.driver=http,file.url=$WEB/cookie/d.qcow2,file.cookie-secret=c"
like_reference map --image-opts "driver=qcow2,file.driver=http,file.url=$WEB/d.qcow2,file.sslverify=off"

# what it reads
for name in disk d.qcow2 c.qcow2 redir/c.qcow2; do
    good "$IMG" convert -O raw "$WEB/$name" out
    cmp www/disk out || bad "$name: other bytes"
    good "$IMG" compare "$WEB/$name" www/disk || true
done
good "$IMG" convert -f raw -O raw "$WEB/odd" out
truncate -s %512 www/odd
cmp www/odd out || bad "an odd end"
for ahead in 0 512 64k 1M; do
    good "$IMG" convert --image-opts -O raw \
        "driver=qcow2,file.driver=http,file.url=$WEB/c.qcow2,file.readahead=$ahead" out
    cmp www/disk out || bad "readahead $ahead: other bytes"
done

# a backing image is looked for beside an image on a server, too
"$REF" create -q -f qcow2 -F qcow2 -b d.qcow2 www/overlay.qcow2
"$REF_IO" -c 'write -P 7 3M 1M' www/overlay.qcow2 >/dev/null
"$REF" convert -O raw www/overlay.qcow2 overlay.raw
good "$IMG" convert -O raw "$WEB/overlay.qcow2" out
cmp overlay.raw out || bad "a chain of images: other bytes"

# connections are kept, metadata is read in few requests
: >http.log
"$IMG" info "$WEB/d.qcow2" >/dev/null
checked
[ "$(wc -l <http.log)" -le 4 ] || bad "info: $(wc -l <http.log) requests"
if command -v mpirun >/dev/null; then
    good ranks 3 "$IMG" convert -O raw "$WEB/c.qcow2" out
    cmp www/disk out || bad "three ranks: other bytes"
fi

# TLS: a certificate that nobody vouches for
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost \
    -days 2 2>/dev/null
http_serve "$T/www" "ssl_certificate $T/cert.pem; ssl_certificate_key $T/key.pem; ssl_protocols TLSv1.2 TLSv1.3;"
sed -i 's/listen \(127[^;]*\);/listen \1 ssl;/' nginx.conf
http_stop
nginx -c "$T/nginx.conf" -e "$T/http.err"
WEB=https${WEB#http}
try "$IMG" info "$WEB/disk"
checked
grep -q 'CURL: Error opening file: .*certificate' .err || bad "no word of the certificate: $(cat .err)"
good "$IMG" convert --image-opts -O raw "driver=raw,file.driver=https,file.url=$WEB/disk,file.sslverify=off" out
cmp www/disk out || bad "by TLS: other bytes"
finish
