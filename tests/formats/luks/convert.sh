#!/bin/bash
# Encrypted in, encrypted out: scattered writes, odd sizes, one key to another, backing files,
# preallocation, devices and O_DIRECT.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/crypt.bash"
need_reference
scratch 400
cd "$T"
key=key-secret=s
truncate -s 20M source
put source 0 noise 700000
put source 5000000 text 100000 2
put source 12582912 zero 65536
put source $((20 * 1048576 - 700)) noise 700 3
"$IMG" convert "${SECRET[@]}" -f raw -O luks -o $key source ours 2>"$T/.err" || skip "$(cat "$T/.err")"
equal "written" "$REF" luks ours source
equal "read again" "$IMG" luks ours source

# the original scribbles into what we wrote, and into what it made itself
retry "$REF" create -q -f luks "${SECRET[@]}" -o $key,iter-time=1 theirs 20M
for image in ours theirs; do
    "$REF_IO" "${SECRET[@]}" --image-opts -c "write -P 1 64k 100k" -c "write -P 2 10M 512" \
        -c "write -P 3 7654400 3M" -c "write -z 12M 64k" "$(of luks $image)" >/dev/null
    "$REF" convert "${SECRET[@]}" --image-opts -O raw "$(of luks $image)" plain
    equal "scribbled $image" "$IMG" luks $image plain
    good "$IMG" convert "${SECRET[@]}" --image-opts -O raw "$(of luks $image)" out
    checked
    cmp plain out || bad "scribbled $image: converted otherwise"
done

# sizes that are not whole sectors
for size in 1 511 512 513 1048575 1048577; do
    pattern noise $size >odd
    good "$IMG" convert "${SECRET[@]}" -f raw -O luks -o $key odd out || continue
    equal "$size bytes" "$REF" luks out odd
    case $size in 513 | 1048577) ;; *) continue ;; esac # the original takes two seconds for it
    retry "$REF" create -q -f luks "${SECRET[@]}" -o $key,iter-time=0 out $size
    good "$IMG" create -q -f luks "${SECRET[@]}" -o $key,iter-time=0 mine $size
    checked
    [ "$(stat -c %s out)" = "$(stat -c %s mine)" ] || bad "$size: created of another size"
    good "$IMG" convert "${SECRET[@]}" --image-opts -O raw "$(of luks out)" plain
    "$REF" convert "${SECRET[@]}" --image-opts -O raw "$(of luks out)" plain2
    cmp plain plain2 || bad "$size: the last sector reads otherwise"
done

# one key to another
two=("${SECRET[@]}" --object secret,id=t,data=other)
good "$IMG" convert "${two[@]}" --image-opts "$(of luks ours)" -O luks -o key-secret=t,cipher-mode=cbc changed
"$REF" convert "${SECRET[@]}" --image-opts "$(of luks ours)" -O raw plain
checked
"$REF" compare -q "${two[@]}" --image-opts driver=luks,key-secret=t,file.filename=changed \
    driver=raw,file.filename=plain || bad "another key: other content"
try "$IMG" convert "${SECRET[@]}" --image-opts "$(of luks changed)" -O raw out
[ $rc = 1 ] && grep -q 'Invalid password, cannot unlock any keyslot' "$T/.err" || bad "another key opens it"

# below an overlay
"$REF" create -q -f qcow2 -u -b ours -F luks over 20M
"$REF_IO" "${SECRET[@]}" --image-opts -c "write -P 9 1M 3000k" \
    driver=qcow2,file.filename=over,backing.driver=luks,backing.key-secret=s,backing.file.filename=ours >/dev/null
chain=driver=qcow2,file.filename=over,backing.driver=luks,backing.key-secret=s,backing.file.filename=ours
"$REF" convert "${SECRET[@]}" --image-opts -O raw $chain plain
good "$IMG" convert "${SECRET[@]}" --image-opts -O raw $chain out
checked
cmp plain out || bad "below an overlay: other content"

for mode in off metadata falloc full; do
    good "$IMG" convert "${SECRET[@]}" -f raw -O luks -o $key,preallocation=$mode source out || continue
    equal "preallocation $mode" "$REF" luks out source
done
for args in "-S 0" "-S 64k" "-t none" "-T none -t unsafe" "-m 16 -W"; do
    # shellcheck disable=SC2086  # words
    good "$IMG" convert "${SECRET[@]}" $args -f raw -O luks -o $key source out || continue
    equal "$args" "$REF" luks out source
done
finish
