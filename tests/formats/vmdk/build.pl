#!/usr/bin/perl
# Builds vmdk files that qemu-img cannot make, from the published layouts, together with the raw disk
# that they must read as.
#
#   perl build.pl KIND OUT RAW [key=value ...]
#
#   stream    as VMware's tools write it: markers, tables behind the grains, footer, end marker
#   sparse    a hosted sparse extent with an embedded descriptor
#   cowd      one extent of vmfsSparse     (OUT is the extent, OUT.desc its descriptor)
#   sesparse  one extent of seSparse       (the same)
#
# Keys: size=SECTORS grain=SECTORS and, by kind, version= flags= gtes= level= seed= parent=CID
# hint=NAME order=forward|backward slack=SECTORS (lost between grains) short=1 (last grain encoded
# only as far as the disk goes) zero=1 (some grains are marked as zeros).
use strict;
use warnings;
no warnings "portable";
use Compress::Zlib;

my ($kind, $out, $raw, @pairs) = @ARGV;
my %o = (size => 20000, version => undef, seed => 1, level => 6, parent => 'ffffffff', hint => '',
    order => 'forward', slack => 0, short => 0, zero => 0, (map { split /=/, $_, 2 } @pairs));
my $S = 512;

# ---- the disk -----------------------------------------------------------------------------------

# What grain k is: data, hole, zero.
sub grain_kind {
    my $k = shift;
    my $x = ($k * 7 + $o{seed}) % 11;
    return $x < 5 ? 'data' : $x < 6 && $o{zero} ? 'zero' : 'hole';
}

sub grain_data {
    my ($k, $bytes) = @_;
    my $line = sprintf("grain %d of seed %d\n", $k, $o{seed});
    my $text = $line x ($bytes / length($line) + 1);
    if ($k % 4 == 1) { # cannot be packed
        srand($k + $o{seed});
        $text = pack('L*', map { int(rand(4294967296)) } 1 .. $bytes / 4);
    }
    return substr($text, 0, $bytes);
}

my ($file, $pos);
sub at { my $p = shift; seek($file, $p, 0) or die; $pos = $p; }
sub put { my $b = shift; print $file $b or die; $pos += length $b; }
sub pad { my $n = shift; put("\0" x ($n - $pos % $n)) if $pos % $n; }
sub sector { pad($S); return $pos / $S; }

sub open_new { my $name = shift; open($file, '+>', $name) or die "$name: $!"; binmode $file; $pos = 0; }

sub disk_write {
    my $grain = shift;
    open_new($raw);
    truncate($file, $o{size} * $S) or die;
    for my $k (0 .. int(($o{size} - 1) / $grain)) {
        next unless grain_kind($k) eq 'data';
        my $left = ($o{size} - $k * $grain) * $S;
        my $bytes = $left < $grain * $S ? $left : $grain * $S;
        at($k * $grain * $S);
        put(substr(grain_data($k, $grain * $S), 0, $bytes));
    }
    close $file;
}

sub descriptor {
    my ($type, @lines) = @_;
    my $hint = $o{hint} ? "parentFileNameHint=\"$o{hint}\"\n" : '';
    return "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=$o{parent}\n"
        . "createType=\"$type\"\n$hint\n# Extent description\n" . join('', map { "$_\n" } @lines)
        . "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\n";
}

sub base { my $n = shift; $n =~ s{.*/}{}; return $n; }

# ---- hosted sparse ------------------------------------------------------------------------------

sub header {
    my %h = @_;
    my $b = pack('a4 L< L< Q< Q< Q< Q< L< Q< Q< Q< C a4 S<', 'KDMV', $h{version}, $h{flags},
        $o{size}, $h{grain}, 1, 20, $h{gtes}, $h{rgd}, $h{gd}, $h{overhead}, 0, "\n \r\n",
        $h{compression});
    return $b . "\0" x ($S - length $b);
}

sub marker {
    my ($sectors, $type) = @_;
    my $b = pack('Q< L< L<', $sectors, 0, $type);
    return $b . "\0" x ($S - length $b);
}

sub grains { my ($grain) = @_; return int(($o{size} + $grain - 1) / $grain); }

sub stream {
    my $grain = $o{grain} // 128;
    my $gtes = $o{gtes} // 512;
    my %h = (version => $o{version} // 3, flags => $o{flags} // 0x30001, grain => $grain,
        gtes => $gtes, rgd => 0, gd => ~0, overhead => 128, compression => 1);
    disk_write($grain);
    open_new($out);
    put(header(%h));
    put(descriptor('streamOptimized', "RW $o{size} SPARSE \"" . base($out) . '"'));
    pad(128 * $S);
    my $n = grains($grain);
    my (@gd, @gt);
    for my $k (0 .. $n - 1) {
        if (grain_kind($k) eq 'data') {
            my $bytes = $grain * $S;
            $bytes = ($o{size} - $k * $grain) * $S if $o{short} && $k == $n - 1;
            $gt[$k % $gtes] = sector();
            my $z = compress(substr(grain_data($k, $grain * $S), 0, $bytes), $o{level});
            put(pack('Q< L<', $k * $grain, length $z) . $z);
            pad($S);
            put("\0" x ($o{slack} * $S));
        } elsif (grain_kind($k) eq 'zero') {
            $gt[$k % $gtes] = 1;
        }
        next unless $k % $gtes == $gtes - 1 || $k == $n - 1;
        if (@gt) {
            put(marker($gtes * 4 / $S, 1));
            push @gd, sector();
            put(pack('L<*', map { $gt[$_] // 0 } 0 .. $gtes - 1));
            pad($S);
            @gt = ();
        } else {
            push @gd, 0;
        }
    }
    put(marker(int((@gd * 4 + $S - 1) / $S), 2));
    $h{gd} = sector();
    put(pack('L<*', @gd));
    pad($S);
    put(marker(1, 3));
    put(header(%h));
    put(marker(0, 0));
    close $file;
}

# Tables in front, as for a disk that is written at random; grains in any order.
sub sparse {
    my $grain = $o{grain} // 128;
    my $gtes = $o{gtes} // 512;
    my $n = grains($grain);
    my $tables = int(($n + $gtes - 1) / $gtes);
    my $gd = 21;
    my $gt = $gd + int(($tables * 4 + $S - 1) / $S);
    my $gt_sectors = int(($gtes * 4 + $S - 1) / $S);
    my $data = $gt + $tables * $gt_sectors;
    $data = int(($data + $grain - 1) / $grain) * $grain;
    my %h = (version => $o{version} // 1, flags => $o{flags} // 1, grain => $grain,
        gtes => $gtes, rgd => 0, gd => $gd, overhead => $data, compression => 0);
    disk_write($grain);
    open_new($out);
    put(header(%h));
    put(descriptor('monolithicSparse', "RW $o{size} SPARSE \"" . base($out) . '"'));
    at($gd * $S);
    put(pack('L<*', map { $gt + $_ * $gt_sectors } 0 .. $tables - 1));
    my @order = grep { grain_kind($_) eq 'data' } 0 .. $n - 1;
    @order = reverse @order if $o{order} eq 'backward';
    my %place = map { $_ => 1 } grep { grain_kind($_) eq 'zero' } 0 .. $n - 1;
    at($data * $S);
    for my $k (@order) {
        $place{$k} = $pos / $S;
        put(grain_data($k, $grain * $S));
        put("\0" x ($o{slack} * $S));
    }
    for my $t (0 .. $tables - 1) {
        at(($gt + $t * $gt_sectors) * $S);
        put(pack('L<*', map { $place{ $t * $gtes + $_ } // 0 } 0 .. $gtes - 1));
    }
    close $file;
}

# ---- the server's ------------------------------------------------------------------------------

sub describe {
    my ($type, $word) = @_;
    open_new("$out.desc");
    put(descriptor($type, "RW $o{size} $word \"" . base($out) . '"'));
    close $file;
}

sub cowd {
    my $grain = $o{grain} // 1;
    my $gtes = 4096;
    my $n = grains($grain);
    my $tables = int(($n + $gtes - 1) / $gtes);
    my $gd = 4;
    my $gt = $gd + int(($tables * 4 + $S - 1) / $S);
    disk_write($grain);
    open_new($out);
    put(pack('a4 L<7', 'COWD', 1, 3, $o{size}, $grain, $gd, $tables, 0));
    my (@gd, %place);
    my $next = $gt;
    for my $t (0 .. $tables - 1) {
        my $used = grep { $_ < $n && grain_kind($_) eq 'data' } $t * $gtes .. ($t + 1) * $gtes - 1;
        push @gd, $used ? $next : 0;
        $next += $gtes * 4 / $S if $used;
    }
    at($gd * $S);
    put(pack('L<*', @gd));
    at($next * $S);
    for my $k (grep { grain_kind($_) eq 'data' } 0 .. $n - 1) {
        $place{$k} = $pos / $S;
        put(grain_data($k, $grain * $S));
    }
    for my $t (grep { $gd[$_] } 0 .. $tables - 1) {
        at($gd[$t] * $S);
        put(pack('L<*', map { $place{ $t * $gtes + $_ } // 0 } 0 .. $gtes - 1));
    }
    close $file;
    describe('vmfsSparse', 'VMFSSPARSE');
}

# Two headers, then areas of sectors: directory, tables, bitmap, backward map, grains. Only what
# readers look at is made.
sub sesparse {
    my ($grain, $gtes, $gt_sectors) = (8, 4096, 64);
    my $n = grains($grain);
    my $tables = int(($n + $gtes - 1) / $gtes);
    my ($vol, $journal_header, $journal, $gd) = (1, 2, 2048, 4096);
    my $gd_sectors = int(($tables * 8 + $S - 1) / $S);
    my $gt = $gd + $gd_sectors;
    my $bitmap = $gt + $tables * $gt_sectors;
    my $back = $bitmap + 8;
    my $area = int(($back + 8 + 2047) / 2048) * 2048;
    disk_write($grain);
    open_new($out);
    put(pack('Q<24', 0xcafebabe, 0x200000001, $o{size}, $grain, $gt_sectors, $o{flags} // 0, 0, 0, 0, 0,
        $vol, 1, $journal_header, 2, $journal, 2048, $gd, $gd_sectors, $gt, $tables * $gt_sectors,
        $bitmap, 8, $back, 8));
    put(pack('Q<2', $area, $n * $grain));
    at($vol * $S);
    put(pack('Q<4', 0xcafecafe, 0, 0, 0));
    pad($S);
    my (@gd, %entry);
    at($area * $S);
    my $index = 0;
    my @data = grep { grain_kind($_) eq 'data' } 0 .. $n - 1;
    @data = reverse @data if $o{order} eq 'backward';
    for my $k (@data) {
        put(grain_data($k, $grain * $S));
        $entry{$k} = (3 << 60) | (($index & 0xfff) << 48) | ($index >> 12);
        $index++;
    }
    for my $k (grep { grain_kind($_) eq 'zero' } 0 .. $n - 1) {
        $entry{$k} = ($k % 2 ? 1 : 2) << 60;
    }
    for my $t (0 .. $tables - 1) {
        my @e = map { $entry{ $t * $gtes + $_ } // 0 } 0 .. $gtes - 1;
        my $used = grep { $_ } @e;
        push @gd, $used ? 0x1000000000000000 | $t : 0;
        next unless $used;
        at(($gt + $t * $gt_sectors) * $S);
        put(pack('Q<*', @e));
    }
    at($gd * $S);
    put(pack('Q<*', @gd));
    close $file;
    describe('seSparse', 'SESPARSE');
}

my %kinds = (stream => \&stream, sparse => \&sparse, cowd => \&cowd, sesparse => \&sesparse);
($kinds{$kind} or die "no such kind: $kind\n")->();
