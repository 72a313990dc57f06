# Sourced by the scripts that must work on a bare Debian: installs only what is not there, so it
# takes no time and no network once all is there. POSIX sh.
BUILD_PACKAGES='cmake ninja-build gcc libc6-dev pkg-config libopenmpi-dev openmpi-bin
    libmpich-dev mpich zlib1g-dev libzstd-dev libaio-dev libjansson-dev libdeflate-dev libisal-dev liburing-dev libbz2-dev liblzma-dev libgcrypt20-dev
    libnbd-dev libcurl4-openssl-dev'
TEST_PACKAGES='libcmocka-dev qemu-utils 7zip perl e2fsprogs xfsprogs btrfs-progs libnbd-bin jq
    procps mount nbdkit libvhdi-utils libvmdk-utils libqcow-utils cloop-utils xz-utils
    genisoimage shellcheck libxml2-utils environment-modules lua5.4
    cryptsetup-bin qemu-system-x86 debootstrap grub-pc-bin grub-common
    qemu-block-extra nginx-light openssl mpich libmpich-dev
    chromium'
# hosts, a batch system and shared storage on one machine (tests/cluster)
CLUSTER_PACKAGES='openssh-server openssh-client iproute2 slurm-wlm munge user-mode-linux busybox-static
    kmod nfs-kernel-server nfs-common rpcbind glusterfs-server glusterfs-client xfsprogs strace util-linux-extra gnuplot-nox'
CHECK_PACKAGES='clang clang-format'

# packages_missing NAME...: those that dpkg does not list as installed.
packages_missing() {
    for package; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

# Nothing that is installed for tests may start by itself.
services_hold() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null &&
        $sudo chmod +x /usr/sbin/policy-rc.d && held=yes
}

packages_install() {
    command -v dpkg-query >/dev/null || return 0 # no Debian: cmake says what it misses
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    sudo=
    [ "$(id -u)" = 0 ] || sudo='sudo -n'
    echo "installing: $missing"
    held=
    services_hold
    # shellcheck disable=SC2086  # a list of words
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq update ||
        ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
            install $missing >/dev/null; then
        echo "could not install these; going on with what is there" >&2
    fi
    [ -z "$held" ] || $sudo rm /usr/sbin/policy-rc.d
}

# A bare chroot has no /etc/hosts: then every mpirun waits seconds for a name server to tell it this
# machine's own name.
hosts_file() {
    if [ ! -e /etc/hosts ] && [ -w /etc ]; then
        printf '127.0.0.1 localhost %s\n' "$(uname -n)" >/etc/hosts
    fi
}
