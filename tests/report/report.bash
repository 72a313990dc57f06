# Sourced after lib.sh by the tests of report: results with known values, and a browser to look at
# the page with.
# shellcheck shell=bash disable=SC2034

MIB=1048576 BEGAN=1700000000

# fleet NAME=VALUE...: the results of a run that never was (fleet.awk says what can be set).
fleet() {
    local sets=() set
    for set; do
        sets+=(-v "$set")
    done
    awk "${sets[@]}" -f "$TESTS/report/fleet.awk"
}

# image TARGET STATUS START SECONDS MIB RANK WORKER [ERROR]: times from the first run's begin on.
image() {
    local error=null start=$((BEGAN + $3))
    [ $# -lt 8 ] || error="\"$8\""
    printf '{"record":"image","source":"/src/%s.raw","target":"/out/%s","status":"%s","error":%s,' \
        "$1" "$1" "$2" "$error"
    printf '"source_format":"raw","target_format":"qcow2","virtual_size":%s,"source_bytes":%s,' \
        $(($5 * MIB * 4)) $(($5 * MIB * 2))
    printf '"target_bytes":%s,"bytes":%s,"start":%s,"end":%s,"seconds":%s,"rank":%s,"worker":%s}\n' \
        $(($5 * MIB)) $(($5 * MIB)) $start $((start + $4)) "$4" "$6" "$7"
}

run_head() { # TIME
    printf '{"record":"run","version":1,"time":%s,"ranks":2,"threads":[2,1],"hosts":["n0","n1"],' \
        $((BEGAN + $1))
    printf '"images":6,"manifest":"/jobs/known.jsonl"}\n'
}

run_end() { # TIME STATUS MIB BUSY
    printf '{"record":"end","time":%s,"status":"%s","bytes":%s,"busy":%s}\n' $((BEGAN + $1)) "$2" \
        $(($3 * MIB)) "$4"
}

# Two runs of six images, to be reckoned by hand: 4 done in 2, 4, 10 and 20 s, 1 failed, 1 not begun;
# 1 GiB in 64 s; workers busy 50 % of 32 s and 100 % of 32 s.
known() {
    run_head 0
    image a done 0 2 128 0 0
    image b done 0 4 128 1 0
    image c stopped 10 20 256 0 1
    run_end 32 stopped 512 0.5
    run_head 1000
    image a skipped 1000 0 0 0 0
    image c done 1001 10 256 0 1
    image d done 1001 20 256 1 0
    image e failed 1002 1 0 0 0 "Could not open '/src/e.raw': Permission denied"
    run_end 1032 failed 512 1
}

# ---- the browser ---------------------------------------------------------------------------------

need_browser() {
    need chromium
    browser "data:text/html,<title>there" --dump-dom >/dev/null 2>&1 && grep -q there "$T/dom" ||
        skip "chromium does not run here: $(tail -n 1 "$T/console")"
}

# browser URL OPTION...: what it prints in $T/dom, what it says in $T/console, all that it asked of
# a network in $T/net. Nobody answers there.
browser() {
    local url=$1
    shift
    rm -rf "$T/profile"
    HOME=$T timeout 240 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$T/profile" \
        --no-first-run --disable-background-networking --disable-component-update --disable-sync \
        --disable-dev-shm-usage --hide-scrollbars --host-resolver-rules="MAP * ~NOTFOUND" \
        --enable-logging=stderr --v=0 --log-net-log="$T/net" "$@" "$url" >"$T/dom" 2>"$T/console"
}

# look PAGE[#FRAGMENT]: the page's DOM after its scripts in $T/dom; it may not complain nor ask.
look() {
    checked
    browser "file://$1" --dump-dom || bad "chromium failed: $(tail -n 1 "$T/console")"
    quiet_page "$1"
}

quiet_page() {
    ! grep 'CONSOLE' "$T/console" >&2 || bad "$1: the page complains"
    ! grep -o '"initiator":[^}]*file://[^}]*' "$T/net" >&2 || bad "$1: the page asks the network"
}

# hooked PAGE SCRIPT: a copy of the page, without its policy, that runs a script at its end.
hooked() {
    local copy=$T/hooked.html
    sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' "$1" >"$copy"
    printf '<script>%s</script>\n' "$2" >>"$copy"
    echo "$copy"
}

# answer PAGE SCRIPT [OPTION...]: what the script returns when it runs in the page.
answer() {
    local copy
    copy=$(hooked "$1" "document.body.textContent = 'answer:' + (() => { $2 })() + ':'")
    shift 2
    browser "file://$copy" --dump-dom "$@" || true
    sed -n 's/.*answer:\(.*\):.*/\1/p' "$T/dom" | sed 's/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g'
}

# same WHAT GOT WANTED
same() {
    checked
    [ "$2" = "$3" ] || bad "$1: '$2', wanted '$3'"
}
