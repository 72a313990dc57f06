#!/bin/bash
# NFS: an image is replaced again and again, and at no moment is there none of its name. (A client
# that has the old one open would move it away first.)
. "$(dirname "$0")/../lib.sh"
. "$TESTS/storage/uml.bash"
need_uml
uml_scratch 2000
uml_up 1
uml_on u1 "dd if=/dev/urandom of=guest bs=1M count=2 status=none; cp guest target"

# on the server itself, where nothing is cached
watch='my ($looks, $missing) = (0, 0);
    until (-e "stop") { $looks++; $missing++ unless -e "target"; }
    print "$looks $missing\n"'
uml_on u0 timeout 100 perl -e "$watch" >"$T/seen" &
good uml_on u1 "for i in 1 2 3 4 5 6; do $IMG convert -f raw -O raw guest target || exit 1; done"
uml_on u1 "touch stop"
wait $!
read -r looks missing <"$T/seen"
echo "looked for $looks times"
checked
[ "$looks" -gt 1000 ] && [ "$missing" = 0 ] || bad "of $looks times there was none $missing times"
checked
[ "$(uml_on u0 "ls -A | tr '\n' ' '")" = "guest stop target " ] || bad "left behind: $(uml_on u0 "ls -A")"
finish
