#!/bin/bash
# NFS 4.2 with a server and two clients, each a kernel of its own: what one client writes another
# does not see before it is synced, and a page that two write is lost by one. Both write one image.
#
#   NFS_OPTIONS=vers=3 bash tests/storage/nfs.sh     with other options of mount
. "$(dirname "$0")/../lib.sh"
. "$TESTS/storage/uml.bash"
. "$TESTS/storage/trial.bash"
need_uml
uml_scratch 2500
uml_up 2 ${NFS_OPTIONS:-}

clients=2
on() {
    local k=$1
    shift
    uml_on "u$k" "$@"
}
all() { uml_mpirun $clients "$@"; }
stored() { uml_on u0 "sha256sum <$1" | cut -c1-64; }
# what cp leaves in that client's cache is not ours
bring() { uml_on u1 "cp $1 $2 && sync $2 && dd of=$2 oflag=nocache conv=notrunc count=0 status=none"; }

trial_guest
trial_formats
trial_verify
trial_modes
trial_clean
finish
