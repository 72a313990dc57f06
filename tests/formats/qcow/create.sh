#!/bin/bash
# create: the same words, the same metadata; the same is refused.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qcow/common.bash"
need_reference
scratch 100
cd "$T"
create raw base 5M

# An empty image: the header and the name in it; all behind is zero, though not as long.
same() {
    created qcow "$@"
    [ -e made.theirs ] || bad "not made: $*"
    truncate -s 64M made.theirs made.ours
    cmp made.theirs made.ours || bad "other bytes: $*"
}
same made 64M
same made 1
same made 1001
same made 1T
same -o size=5G made
same -o encryption=off made 1M
same -b base -F raw made
same -b base -F raw made 1G
same -u -b nowhere -F qcow2 made 1M
same -u -b "$(printf 'a%.0s' {1..1023})" -F file made 1M
same -F qcow2 made 1M

while read -r words; do
    # shellcheck disable=SC2086
    created qcow $words
    [ $rc = 1 ] || bad "not refused: $words"
done <<'END'
made 0
made 8E
made
-o foo=1 made 1M
-o cluster_size=4k made 1M
-u -b base -F foo made 1M
-F foo made 1M
-u -b base made 1M
-b base made
-b nowhere -F raw made
-b made -F qcow made 1M
-o encryption=on made 1M
-o encrypt.format=aes made 1M
-o encrypt.format=luks made 1M
-o encrypt.format=foo made 1M
-o encrypt.key-secret=s made 1M
-o encryption=off,encrypt.key-secret=s made 1M
-o encryption=on,encrypt.format=aes made 1M
-o encryption=off,encrypt.format=aes made 1M
-o encryption=on,encrypt.key-secret=s made 1M
-o encrypt.format=luks made 0
END
for words in "-o help" "-o help made"; do
    # shellcheck disable=SC2086
    alike create -f qcow $words
done
alike convert -c -O qcow -o encryption=on base made
alike measure -O qcow base
create qcow2 second 1M
create qed other 1M
alike info -f qcow second
alike info -f qcow other
alike info -f qcow base
alike check second -f qcow

# what the original makes, and cannot open, is not made
refused "long name" create -f qcow -u -b "$(printf 'a%.0s' {1..1024})" -F raw made 1M
refused "large" create -f qcow made 1P
# told to be another format: the hint, and what it was opened for
alike create -f qcow2 -b second -F qcow made
finish
