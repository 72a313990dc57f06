#!/bin/bash
# Damaged LUKS headers, in a luks image and in a qcow2 one: one error line, exit 1, no crash.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/crypt.bash"
scratch 100
cd "$T"
options=cipher-alg=aes-128,cipher-mode=cbc
"$IMG" create -q -f luks "${SECRET[@]}" -o key-secret=s,$options good.luks 1M 2>"$T/.err" || skip "$(cat "$T/.err")"
"$IMG" create -q -f qcow2 "${SECRET[@]}" \
    -o encrypt.key-secret=s,encrypt.format=luks,encrypt.${options//,/,encrypt.} good.qcow2 1M
start() {
    case $1 in luks) echo 0 ;; qcow2) be good.qcow2 120 8 ;; esac
}

# look NAME FORMAT: all that opens it, without and with the key
look() {
    local args
    for args in "info bad" "map --image-opts $(of "$2" bad)" "convert -O raw --image-opts $(of "$2" bad) out"; do
        # shellcheck disable=SC2086  # words
        try timeout 20 "$IMG" ${args%% *} "${SECRET[@]}" ${args#* }
        checked
        if grep -qE 'Sanitizer|runtime error|Assertion' "$T/.err"; then
            bad "$1: $args: $(head -n 5 "$T/.err")"
        elif [ $rc = 0 ]; then
            [ "$3" = may ] || [ "${args%% *}" = info ] || bad "$1: $args: taken"
        elif [ $rc != 1 ] || [ "$(wc -l <"$T/.err")" != 1 ]; then
            bad "$1: $args: exit $rc: $(head -n 3 "$T/.err")"
        fi
        rm -f out
    done
}

# damage FORMAT OFFSET HEX [may]
damage() {
    cp good.$1 bad
    patch_bytes bad $(($(start "$1") + $2)) "$3"
    look "$1 at $2 = $3" "$1" "${4:-must}"
}

for format in luks qcow2; do
    for at in 6 104 108 208 248 252 256 296 300; do
        for value in 00000000 00000001 7fffffff 80000000 ffffffff; do
            may=must
            case $at,$value in
            6,0001* | 296,* | 256,* | 300,*) may=may ;; # a slot that is not in use may stand anywhere
            104,7f* | 104,8* | 104,f*) [ $format = luks ] || may=may ;;
            esac
            damage $format $at $value $may
        done
    done
    damage $format 8 "$(printf 'a%.0s' 1 2 3 4 5 6 7 8)$(printf 'a%.0s' 1 2 3 4 5 6 7 8)"
    damage $format 40 78
    damage $format 72 ff
    damage $format 164 00000000
    damage $format 112 00
    damage $format 132 00 may
    damage $format 4096 00000000
    damage $format 212 00000000
done
for size in 0 5 8 100 591 592 4095 4096 100000; do
    head -c $size good.luks >bad
    look "cut to $size" luks "$([ $size -gt 7 ] && echo must || echo may)"
done

# the pointer of qcow2
for at in 120 128; do
    for value in 0000000000000000 0000000000000001 0000000000010000 00000000000001ff 7fffffffffff0000 \
        ffffffffffffffff 0000000100000000; do
        cp good.qcow2 bad
        patch_bytes bad $at $value
        look "pointer at $at = $value" qcow2 "$([ $at = 128 ] && echo may || echo must)"
    done
done
for method in 00000000 00000003 ffffffff; do
    cp good.qcow2 bad
    patch_bytes bad 32 $method
    look "method $method" qcow2 must
done
finish
