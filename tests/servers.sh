# Sourced after lib.sh by tests that need a server. All listen on sockets in the scratch folder or on
# the loopback device, on a port that the system chose, and end with the test.
# shellcheck shell=bash

# kill_pidfile FILE [SIGNAL]: end what wrote its process number there, and wait until it is gone.
kill_pidfile() {
    local pid i
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    kill "${2:-TERM}" "$pid" 2>/dev/null || return 0
    for i in $(seq 100); do
        grep -qs "^State:.[^Z]" "/proc/$pid/status" || break # nobody may be there to bury it
        sleep 0.05
    done
    rm -f "$1"
}

# -- nbd -------------------------------------------------------------------------------------------

nbd_stop() {
    kill_pidfile "$T/nbd.pid" -TERM
    rm -f "$T/nbd.sock"
}

# nbd_serve ARGS...: nbdkit on a Unix socket, which URI names. One at a time.
nbd_serve() {
    nbd_stop
    nbdkit -U "$T/nbd.sock" -P "$T/nbd.pid" "$@" || fail "nbdkit $*"
    URI="nbd+unix:///?socket=$T/nbd.sock"
}

# nbd_serve_qemu ARGS...: the same with qemu-nbd.
nbd_serve_qemu() {
    nbd_stop
    qemu-nbd -k "$T/nbd.sock" --fork --pid-file="$T/nbd.pid" -t "$@" || fail "qemu-nbd $*"
    URI="nbd+unix:///?socket=$T/nbd.sock"
}

# nbd_count FILE WORD: how many requests of a kind a server with --filter=log has seen.
nbd_count() {
    grep -c " $2 .*\.\.\.$" "$1" || true
}

need_nbd() {
    need nbdkit
    case $("$IMG" info nbd:127.0.0.1:1 2>&1) in *"has no libnbd"*) skip "built without libnbd" ;; esac
    at_exit+=(nbd_stop)
}

# -- http ------------------------------------------------------------------------------------------

http_stop() {
    kill_pidfile "$T/http.pid" -TERM
}

# http_serve FOLDER [LINES]: nginx, with further lines for its server; WEB is its address.
http_serve() {
    local port
    http_stop
    for port in $(perl -e 'print join " ", map { 20000 + int rand 40000 } 1 .. 5'); do
        cat >"$T/nginx.conf" <<CONF
pid $T/http.pid; error_log $T/http.err; worker_processes 2;
events { worker_connections 256; }
http {
    access_log $T/http.log; client_body_temp_path $T/body; proxy_temp_path $T/proxy;
    fastcgi_temp_path $T/fcgi; uwsgi_temp_path $T/uwsgi; scgi_temp_path $T/scgi;
    server { listen 127.0.0.1:$port; root $1; ${2:-} }
}
CONF
        nginx -c "$T/nginx.conf" -e "$T/http.err" 2>/dev/null || continue
        WEB=http://127.0.0.1:$port
        return 0
    done
    fail "nginx does not start: $(cat "$T/http.err")"
}

# http_serve_bad BYTES: a server that misbehaves as the path says (bad-server.pl).
http_serve_bad() {
    local i
    http_stop
    rm -f "$T/port"
    perl "$TESTS/formats/http/bad-server.pl" "$T/port" "$1" </dev/null >/dev/null 2>&1 &
    echo $! >"$T/http.pid"
    for i in $(seq 100); do
        [ -s "$T/port" ] && break
        sleep 0.05
    done
    WEB=http://127.0.0.1:$(cat "$T/port")
}

need_http() {
    case $("$IMG" info http://127.0.0.1:1/x 2>&1) in *"has no libcurl"*) skip "built without libcurl" ;; esac
    at_exit+=(http_stop)
}

# -- text ------------------------------------------------------------------------------------------

# like_reference ARGS...: the same output, messages and exit code as the original's. Names of the
# programs, and what its libraries say beside, do not count.
like_reference() {
    local ref_rc=0 our_rc=0
    checked
    timeout 30 "$REF" "$@" >"$T/.ref" 2>&1 </dev/null || ref_rc=$?
    timeout 30 "$IMG" "$@" >"$T/.our" 2>&1 </dev/null || our_rc=$?
    sed -i '/GLib: /d; s/^qemu-img: /img: /' "$T/.ref"
    sed -i "s/ after [0-9]* ms: / after N ms: /" "$T/.ref" "$T/.our"
    sed -i 's/^\(mpi\|qemu\)-img: /img: /' "$T/.our"
    if [ $ref_rc != $our_rc ] || ! cmp -s "$T/.ref" "$T/.our"; then
        bad "exit $our_rc, the original's $ref_rc: $*"
        diff "$T/.ref" "$T/.our" | sed 's/^/    /' >&2 || true
    fi
}

# says TEXT ARGS...: fails with exactly this one line.
says() {
    local text=$1
    shift
    try timeout 60 "$IMG" "$@"
    checked
    [ $rc = 1 ] && [ "$(sed 's/^[a-z]*-img: //' "$T/.err")" = "$text" ] && return 0
    bad "exit $rc: $*"
    printf '    wanted: %s\n' "$text" >&2
    sed 's/^/    /' "$T/.err" >&2
}
