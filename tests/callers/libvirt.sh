#!/bin/bash
# libvirt, storage volumes: made empty, over others, encrypted, and filled from other volumes.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
callers_begin 400
disk source 40
printf 'a secret' >secret
printf 'another' >secret2
volume=$T/OtherDemo.img

# made FORMAT SIZE: what stands there now.
made() {
    checked
    [ "$("$REF" info --output=json "$volume" | jq -r '"\(.format) \(."virtual-size")"')" = "$1 $2" ] ||
        bad "other than $1 of $2: $("$REF" info "$volume")"
    rm "$volume"
}

runs qemu-img create -f raw "$volume" 1048576K
made raw 1073741824
runs qemu-img create -f qcow2 -b /dev/null -o backing_fmt=raw,compat=0.10 "$volume" 5242880K
made qcow2 5368709120
runs qemu-img create -f qcow2 -b /dev/null -o backing_fmt=raw,compat=1.1,lazy_refcounts "$volume" 5242880K
made qcow2 5368709120
runs qemu-img create -f qcow2 -o compat=0.10,cluster_size=131072 "$volume" 5242880K
made qcow2 5368709120
runs qemu-img create -f qcow2 -o preallocation=metadata,compat=0.10 "$volume" 524288K
made qcow2 536870912
runs qemu-img create -f qcow2 -b /dev/null -o backing_fmt=raw,nocow=on,compat=1.1 "$volume" 0K
made qcow2 0
runs qemu-img create -f qcow2 -b "$T/source" -o backing_fmt=raw "$volume"
made qcow2 41943040

# from another volume
runs qemu-img convert -f raw -O qcow2 -o preallocation=metadata,compat=0.10 source "$volume"
reads_as "$volume" qcow2 source
runs qemu-img convert -f qcow2 -O raw "$volume" sparse.img
reads_as sparse.img raw source
runs qemu-img convert -f raw -O raw source sparse.img
reads_as sparse.img raw source
rm "$volume"
runs qemu-img resize --shrink -f raw sparse.img 20M
runs qemu-img resize -f raw sparse.img 41943040

# encrypted
if qemu-img --help | grep -q " luks "; then
    runs qemu-img create -f luks --object secret,id=LuksDemo.img_encrypt0,file=secret \
        -o key-secret=LuksDemo.img_encrypt0,cipher-alg=serpent-256,cipher-mode=cbc,hash-alg=sha256,ivgen-alg=plain64,ivgen-hash-alg=sha256 \
        luks.img 51200K
    runs qemu-img create -f luks --object secret,id=in,file=secret -o key-secret=in plain.luks 40960K
    runs qemu-img convert --image-opts -n --target-image-opts --object secret,id=in,file=secret \
        driver=raw,file.filename=source driver=luks,file.filename=plain.luks,key-secret=in
    runs qemu-img create -f qcow2 --object secret,id=out,file=secret2 \
        -o encrypt.format=luks,encrypt.key-secret=out,compat=0.10 luks.qcow2 40960K
    runs qemu-img convert --image-opts -n --target-image-opts \
        --object secret,id=in,file=secret --object secret,id=out,file=secret2 \
        driver=luks,file.filename=plain.luks,key-secret=in \
        driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=out
    runs qemu-img create -f qcow2 -o compat=0.10 open.qcow2 40960K
    runs qemu-img convert --image-opts -n --target-image-opts --object secret,id=out,file=secret2 \
        driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=out driver=qcow2,file.filename=open.qcow2
    reads_as open.qcow2 qcow2 source
fi

# snapshots inside a disk that is not in use
runs qemu-img convert -f raw -O qcow2 source disk
runs qemu-img snapshot -c before disk
"$REF_IO" -c "write -P 3 0 1M" disk >/dev/null
runs qemu-img snapshot -a before disk
reads_as disk qcow2 source
runs qemu-img snapshot -d before disk
checked
"$REF" check -q disk || bad "the disk is not clean"
finish
