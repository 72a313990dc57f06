# Results that were damaged in any way give a page or one clear error, never a crash.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/report/report.bash"
need_ours
scratch 50

{ known; fleet images=20 large=1 every=5 ranks=3; } >"$T/good"
mutate='
    my ($seed, $file) = @ARGV;
    srand($seed);
    open(my $f, "<", $file) or die;
    local $/;
    my $text = <$f>;
    my @words = ("null", "1e999", "-1", "{}", "[[[", "\"", "}\n{", "\0", "\xff\xfe", "1e18", "true",
                 "\\u0000", "99999999999999999999", "{\"record\":\"run\",\"ranks\":65536}\n");
    for (1 .. 1 + rand(8)) {
        my $at = int(rand(length($text)));
        my $kind = rand(4);
        if ($kind < 1) { substr($text, $at, 1) = chr(int(rand(256))) }
        elsif ($kind < 2) { substr($text, $at, int(rand(40))) = $words[rand(@words)] }
        elsif ($kind < 3) {
            # a value of a field
            pos($text) = $at;
            $text =~ s/\G(.*?":)[^,}]*/$1 . $words[rand(@words)]/se;
        } else { substr($text, $at, int(rand(300))) = "" }
    }
    print $text'
for seed in $(seq "${DAMAGES:-150}"); do
    perl -e "$mutate" "$seed" "$T/good" >"$T/bad"
    try "$IMG" report "$T/bad" -o -
    checked
    case $rc,$(wc -l <"$T/.err"),$(tail -n 1 "$T/.out") in
    "0,0,</html>") ;;
    "1,1,") ;;
    *) bad "seed $seed: exit $rc, $(head -c 300 "$T/.err")" ;;
    esac
done

# A line without an end, and one that is deep.
head -c 40000000 /dev/zero | tr '\0' '[' >"$T/bad"
try "$IMG" report "$T/bad"
same "a long line" "$rc $(wc -l <"$T/.err")" "1 1"
{ known; cat "$T/bad"; printf '\n'; image z done 0 1 1 0 0; } >"$T/long"
good "$IMG" report "$T/long"
same "a long line inside" "$(cat "$T/.out")" "Report in '$T/long.html': 6 images, 5 done, 1 failed"
finish
