#!/bin/bash
# streamOptimized is what the public description has it: importers that read it front to back, and
# those that begin with the footer, both find all; it is no larger than the original's.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/writing.bash"
need_reference
need_ours
scratch 300
cd "$T"

# Front to back with markers alone: the guest's grains to stdout as "LBA sha"; then what the footer
# leads to must be the same.
walk() {
    perl -MCompress::Zlib -MDigest::SHA=sha1_hex -e '
        open(my $f, "<", $ARGV[0]) or die; local $/; my $d = <$f>;
        my @h = unpack("a4VVQ<Q<Q<Q<VQ<Q<Q<", $d);
        die "header @h" unless $h[0] eq "KDMV" && $h[1] == 3 && $h[2] == 0x30001 && $h[9] == ~0;
        my ($at, $end, %met, %tables, $gd) = ($h[10] * 512, 0);
        until ($end) {
            my ($val, $size, $type) = unpack("Q<VV", substr($d, $at, 16));
            if ($size) {
                my $plain = uncompress(substr($d, $at + 12, $size));
                die "grain at $at" unless defined $plain && length $plain == 65536;
                $met{$val} = [$at / 512, sha1_hex($plain)];
                $at += 512 * int((12 + $size + 511) / 512);
            } elsif ($type == 0) { $end = 1; $at += 512;
            } else {
                $tables{$at / 512 + 1} = 1 if $type == 1;
                $gd = $at / 512 + 1 if $type == 2;
                die "footer" if $type == 3 && unpack("Q<", substr($d, $at + 512 + 56, 8)) != $gd;
                $at += 512 * (1 + $val);
            }
        }
        die "bytes behind the end" if $at != length $d;
        my $n = 0;
        my $count = int((int(($h[3] + 127) / 128) + 511) / 512);
        for my $i (0 .. $count - 1) {
            my $gt = unpack("V", substr($d, $gd * 512 + $i * 4, 4)) or next;
            die "no table at $gt" unless $tables{$gt};
            my @e = unpack("V512", substr($d, $gt * 512, 2048));
            for (0 .. 511) {
                next unless $e[$_];
                my $g = $met{($i * 512 + $_) * 128} or die "no grain";
                die "entry" if $g->[0] != $e[$_];
                $n++;
            }
        }
        die "grains without an entry" if $n != keys %met;
        printf("%d %s\n", $_, $met{$_}[1]) for sort { $a <=> $b } keys %met' "$1"
}

grains() {
    perl -MDigest::SHA=sha1_hex -e '
        open(my $f, "<", $ARGV[0]) or die;
        for (my $lba = 0; read($f, my $b, 65536); $lba += 128) {
            $b .= "\0" x (65536 - length $b);
            printf("%d %s\n", $lba, sha1_hex($b)) if $b =~ /[^\0]/;
        }' "$1"
}

need perl
perl -MCompress::Zlib -e 1 2>/dev/null || skip "perl without Compress::Zlib"
guest source $((68 * MIB + 512))
grains source >want
for level in "" 1 2 3 6 9; do
    rm -f disk.vmdk
    good "$IMG" convert -f raw -O vmdk -o subformat=streamOptimized \
        ${level:+--compression-level "$level"} source disk.vmdk || continue
    walk disk.vmdk >got || bad "level $level: not a stream"
    cmp want got || bad "level $level: other grains"
    "$REF" compare -q -f raw -F vmdk source disk.vmdk || bad "level $level: the content differs"
done

# no larger than the original's, on what packs like programs do
rm -f disk.vmdk
cat /usr/bin/perl /bin/bash /usr/lib/x86_64-linux-gnu/lib[a-m]*.so.* 2>/dev/null |
    head -c $((24 * MIB)) >programs || true
"$REF" convert -f raw -O vmdk -o subformat=streamOptimized programs theirs.vmdk
good "$IMG" convert -f raw -O vmdk -o subformat=streamOptimized programs disk.vmdk
checked
ours=$(stat -c %s disk.vmdk) theirs=$(stat -c %s theirs.vmdk)
[ "$ours" -le $((theirs + 8192)) ] || bad "$ours bytes, the original's $theirs"
finish
