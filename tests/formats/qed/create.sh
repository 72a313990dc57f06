#!/bin/bash
# create: the same words, the same bytes; the same sizes are refused.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qed/common.bash"
need_reference
scratch 100
cd "$T"
create raw base 5M

same() {
    created qed "$@"
    cmp made.theirs made.ours || bad "other bytes: $*"
}
same made 64M
same made 0
same made 1001
same made 64T
same -o cluster_size=4k,table_size=16 made 1G
same -o cluster_size=1M,table_size=2,size=5G made
same -o table_size=1 made 1G
same -b base -F raw made
same -b base -F raw made 1G
same -u -b nowhere -F qcow2 made 1M
same -u -b nowhere -F file made 1M
same -F qcow2 made 1M

while read -r words; do
    # shellcheck disable=SC2086
    created qed $words
    [ $rc = 1 ] || bad "not refused: $words"
done <<'END'
-o cluster_size=2k made 1M
-o cluster_size=128M made 1M
-o cluster_size=5000 made 1M
-o cluster_size=64M made 1M
-o cluster_size=8M,table_size=2 made 1M
-o table_size=0 made 1M
-o table_size=3 made 1M
-o table_size=32 made 1M
-o cluster_size=4k,table_size=1 made 1048577k
made 65T
made 8E
made
-o foo=1 made 1M
-u -b base -F foo made 1M
-u -b base made 1M
-b base made
-b nowhere -F raw made
-b made -F qed made 1M
END
for words in "-o help" "-o help made"; do
    # shellcheck disable=SC2086
    alike create -f qed $words
done
alike convert -c -O qed base made
alike convert -O qed -o table_size=3 base made
alike measure -O qed base
alike info -f qed base
create qed made 1M
alike info --image-opts driver=qed,file.filename=made,foo=1

# a name that has no room is refused: the original makes an image that it cannot open
refused "long name" create -f qed -u -b "$(printf 'a%.0s' {1..4033})" -F raw -o cluster_size=4k made 1M
finish
