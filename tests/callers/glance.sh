#!/bin/bash
# OpenStack Glance, image import: info under a limit of address space and two seconds, then convert;
# any word on stderr fails the import, and what comes out is looked at again.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
callers_begin 300
disk source 40

limited() {
    prlimit --as=$((1 << 30)) --cpu=2 "$@"
}
info() {
    runs limited qemu-img info -f "$1" --output=json "$2"
}

# safe_output FORMAT FILE: what is refused of a converted image.
safe_output() {
    checked
    case $1 in
    qcow2)
        [ "$(be "$2" 8 8)" = 0 ] || bad "$2 has a backing file"
        [ $(($(be "$2" 72 8) >> 4)) = 0 ] || bad "$2 has features that are not known"
        ;;
    raw) [ "$("$REF" info --output=json "$2" | jq -r .format)" = raw ] || bad "$2 is not raw" ;;
    vmdk) [ "$(be "$2" 0 4)" = $((0x4b444d56)) ] || bad "$2 is no sparse extent" ;;
    esac
}

make() {
    "$REF" convert -f raw -O "$1" ${2:+-o "$2"} source "$3"
}
make qcow2 '' in.qcow2
make qcow2 compression_type=zstd zstd.qcow2
make vmdk subformat=streamOptimized stream.vmdk
make vmdk subformat=monolithicSparse sparse.vmdk
make vdi '' in.vdi
make vpc '' in.vpc
make vhdx '' in.vhdx
for image in in.qcow2 zstd.qcow2 stream.vmdk sparse.vmdk in.vdi in.vhdx; do
    format=${image##*.}
    info "$format" $image
    is "format" "$(key .format)" "$format"
    is "virtual-size" "$(key '."virtual-size"')" 41943040
    is "backing-filename" "$(key '."backing-filename"')" null
    is "data-file" "$(key '."format-specific".data."data-file"')" null
    for target in raw qcow2 vmdk; do
        [ $target != "$format" ] || continue
        runs qemu-img convert -f "$format" -O $target $image $image.$target
        reads_as $image.$target $target source
        safe_output $target $image.$target
        rm $image.$target
    done
done
info vpc in.vpc
is "format" "$(key .format)" vpc
info vmdk stream.vmdk
is "create-type" "$(key '."format-specific".data."create-type"')" streamOptimized
info vmdk sparse.vmdk
is "create-type" "$(key '."format-specific".data."create-type"')" monolithicSparse

# what is refused by these keys
"$REF" create -q -f qcow2 -b source -F raw over.qcow2
info qcow2 over.qcow2
is "backing-filename" "$(key '."backing-filename"')" source
"$REF" create -q -f qcow2 -o data_file=apart.data apart.qcow2 1M
info qcow2 apart.qcow2
is "data-file" "$(key '."format-specific".data."data-file"')" apart.data

# an image that is not what it is said to be
checked
try limited qemu-img info -f qcow2 --output=json source
[ $rc = 1 ] && [ -s "$T/.err" ] || bad "a raw disk passed for qcow2"
finish
