# Sourced: every way that an image can be written, for the tests and benchmarks that go through all.
# shellcheck shell=bash

# name, format, options of convert and create (words)
subformats() {
    cat <<'END'
raw raw
qcow2 qcow2
qcow2-v2 qcow2 -o compat=0.10
qcow2-extended qcow2 -o extended_l2=on,cluster_size=32k
qcow qcow
qed qed
vdi vdi
vdi-static vdi -o static=on
vpc vpc
vpc-fixed vpc -o subformat=fixed
vhdx vhdx
vhdx-fixed vhdx -o subformat=fixed
vmdk vmdk
vmdk-flat vmdk -o subformat=monolithicFlat
vmdk-split vmdk -o subformat=twoGbMaxExtentSparse
vmdk-split-flat vmdk -o subformat=twoGbMaxExtentFlat
vmdk-stream vmdk -o subformat=streamOptimized
parallels parallels
luks luks --object secret,id=key,data=hunter2 -o key-secret=key,iter-time=10
qcow2-luks qcow2 --object secret,id=key,data=hunter2 -o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10
END
}

# What an image that is written so is opened with: options for convert, compare and check.
# opened NAME FORMAT FILE: words, the last of them the image's name
opened() {
    case $1 in
    luks) echo "--object secret,id=key,data=hunter2 --image-opts driver=luks,key-secret=key,file.filename=$3" ;;
    qcow2-luks) echo "--object secret,id=key,data=hunter2 --image-opts driver=qcow2,encrypt.key-secret=key,file.filename=$3" ;;
    *) echo "-f $2 $3" ;;
    esac
}
