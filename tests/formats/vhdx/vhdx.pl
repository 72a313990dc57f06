#!/usr/bin/perl
# Makes and changes vhdx images of kinds that no tool at hand makes: 4 KiB sectors, parents, logs
# that are not replayed. Written after [MS-VHDX] alone, apart from the program's own reader.
#
#   vhdx.pl make FILE KEY=VALUE...   a new image; order counts
#       size=BYTES block=BYTES sector=BYTES log=BYTES guid=GUID (its data write GUID)
#       parent=NAME linkage=GUID [linkage2=GUID] [absolute=NAME] [volume=NAME]
#       state=BLOCK,STATE            a block that stores nothing
#       put=GUEST,BYTES,VALUE        bytes of that value, in whole sectors; over a parent these
#                                    sectors alone are then present
#       full=BLOCK                   over a parent: now the whole block is present
#   vhdx.pl guid FILE                print the data write GUID
#   vhdx.pl seal FILE                make the checksums of headers and region tables right again
#   vhdx.pl header FILE COPY KEY=VALUE...   change a header (0, 1) and its checksum:
#       sequence=N guid=GUID log=GUID version=N log_version=N log_length=N log_offset=N
#   vhdx.pl log FILE WORD...         write log entries, and headers that say so
#       at=BYTES                     where in the log the first entry begins
#       entry[,seq=N][,tail=N][,flushed=N][,last=N][,torn][,other]   the next entry; torn: its last
#                                    sector did not arrive; other: of an older log
#       data=OFFSET,VALUE            a sector of that byte
#       word=OFFSET,VALUE            a sector as it is now, with one 64-bit word changed
#       zero=OFFSET,BYTES
use strict;
use warnings;
use Fcntl qw(SEEK_SET);

my $MIB = 1 << 20;

# ---- checksums, identifiers, text ----------------------------------------------------------------

my @crc_table = map {
    my $c = $_;
    $c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 for 1 .. 8;
    $c
} 0 .. 255;

sub crc32c {
    my $crc = 0xffffffff;
    $crc = ($crc >> 8) ^ $crc_table[($crc ^ $_) & 255] for unpack('C*', $_[0]);
    return $crc ^ 0xffffffff;
}

# The checksum stands in bytes 4-7, and is made with these zero.
sub sealed {
    my ($bytes) = @_;
    substr($bytes, 4, 4) = "\0" x 4;
    substr($bytes, 4, 4) = pack('V', crc32c($bytes));
    return $bytes;
}

sub guid {
    my ($text) = @_;
    $text =~ s/[{}]//g;
    my @f = split(/-/, $text);
    return pack('Vvv', hex $f[0], hex $f[1], hex $f[2]) . pack('H*', $f[3] . $f[4]);
}

sub guid_text {
    my ($a, $b, $c, $d, $e) = unpack('VvvH4H12', $_[0]);
    return sprintf('%08x-%04x-%04x-%s-%s', $a, $b, $c, $d, $e);
}

sub utf16 { return join('', map { pack('v', ord) } split(//, $_[0])) }
sub number {
    my ($text) = @_;
    return hex $text if $text =~ /^0x/;
    return $1 * {"" => 1, k => 1 << 10, M => 1 << 20, G => 1 << 30, T => 1 << 40}->{$2}
        if $text =~ /^(\d+)([kMGT]?)$/;
    die "$text: no number";
}

# ---- a file --------------------------------------------------------------------------------------

my $file;

sub put {
    my ($at, $bytes) = @_;
    seek($file, $at, SEEK_SET) or die;
    print $file $bytes or die;
}

sub get {
    my ($at, $length) = @_;
    seek($file, $at, SEEK_SET) or die;
    my $bytes = '';
    read($file, $bytes, $length);
    return $bytes . "\0" x ($length - length $bytes);
}

# ---- make ----------------------------------------------------------------------------------------

my %meta = (
    parameters => 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
    size       => '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
    disk_id    => 'beca12ab-b2e6-4523-93ef-c309e000c746',
    logical    => '8141bf1d-a96f-4709-ba47-f233a8faab5f',
    physical   => 'cda348c7-445d-4471-9cc9-e9885251c556',
    locator    => 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
);

sub locator {
    my ($o) = @_;
    my @pairs = ([parent_linkage => "{$o->{linkage}}"]);
    push @pairs, [parent_linkage2 => "{$o->{linkage2}}"] if $o->{linkage2};
    push @pairs, [relative_path => $o->{parent}] if $o->{parent};
    push @pairs, [volume_path => $o->{volume}] if $o->{volume};
    push @pairs, [absolute_win32_path => $o->{absolute}] if $o->{absolute};
    my $at = 20 + 12 * @pairs;
    my ($entries, $text) = ('', '');
    for (@pairs) {
        my ($key, $value) = map { utf16($_) } @$_;
        $entries .= pack('VVvv', $at, $at + length $key, length $key, length $value);
        $text .= $key . $value;
        $at += length($key) + length($value);
    }
    return guid('b04aefb7-d19e-4a81-b789-25b8e9445913') . pack('vv', 0, scalar @pairs) . $entries . $text;
}

sub metadata {
    my ($o) = @_;
    my $child = defined $o->{linkage};
    my @items = (
        [parameters => 4, pack('VV', $o->{block}, $child ? 2 : 0)],
        [size => 6, pack('Q<', $o->{size})],
        [disk_id => 6, guid('11111111-2222-3333-4444-555555555555')],
        [logical => 6, pack('V', $o->{sector})],
        [physical => 6, pack('V', 4096)],
    );
    push @items, [locator => 4, locator($o)] if $child;
    my ($table, $bytes) = ('metadata' . pack('vv', 0, scalar @items) . "\0" x 20, '');
    for (@items) {
        my ($name, $flags, $item) = @$_;
        $table .= guid($meta{$name}) . pack('VVVV', 65536 + length $bytes, length $item, $flags, 0);
        $bytes .= $item;
    }
    return $table . "\0" x (65536 - length $table) . $bytes;
}

sub regions {
    my @entries = @_; # [guid, offset, length]
    my $table = 'regi' . pack('VVV', 0, scalar @entries, 0);
    $table .= guid($_->[0]) . pack('Q<VV', $_->[1], $_->[2], 1) for @entries;
    return sealed($table . "\0" x (65536 - length $table));
}

sub header {
    my (%h) = @_;
    return sealed(pack('a4 V Q< a16 a16 a16 vv V Q<', 'head', 0, $h{sequence}, $h{file_write},
        $h{guid}, $h{log}, $h{log_version}, $h{version}, $h{log_length}, $h{log_offset}) . "\0" x 4016);
}

# The metadata comes before the BAT here, unlike in the images of others that tests see.
sub make {
    my ($name, @words) = @_;
    my %o = (size => 64 * $MIB, block => $MIB, sector => 512, log => $MIB,
        guid => '01234567-89ab-cdef-0123-456789abcdef');
    my @actions;
    for (@words) {
        my ($key, $value) = split(/=/, $_, 2);
        if ($key =~ /^(state|put|full)$/) { push @actions, [$key, map { number($_) } split(/,/, $value)] }
        else { $o{$key} = $key =~ /^(size|block|sector|log)$/ ? number($value) : $value }
    }
    my $child = defined $o{linkage};
    my $blocks = int(($o{size} + $o{block} - 1) / $o{block});
    my $ratio = int((1 << 23) * $o{sector} / $o{block});
    my $chunks = int(($blocks + $ratio - 1) / $ratio);
    my $entries = $child ? $chunks * ($ratio + 1) : $blocks + int(($blocks - 1) / $ratio);
    my $bat_length = int(($entries * 8 + $MIB - 1) / $MIB) * $MIB;
    my ($meta_at, $bat_at) = (2 * $MIB + $o{log}, 3 * $MIB + $o{log});
    my $end = $bat_at + $bat_length;
    open($file, '+>:raw', $name) or die "$name: $!";
    put(0, 'vhdxfile' . utf16('a test'));
    my %h = (sequence => 7, file_write => guid('99999999-0000-0000-0000-000000000001'),
        guid => guid($o{guid}), log => "\0" x 16, log_version => 0, version => 1,
        log_length => $o{log}, log_offset => $MIB);
    put(65536, header(%h));
    put(131072, header(%h, sequence => 6));
    my $table = regions(['8b7ca206-4790-4b9a-b8fe-575f050f886e', $meta_at, $MIB],
        ['2dc27766-f623-4200-9d64-115e9bfd4a08', $bat_at, $bat_length]);
    put($_, $table) for 196608, 262144;
    put($meta_at, metadata(\%o));
    my (%place, %bits, %state);
    my $take = sub { my $at = $end; $end += $_[0]; truncate($file, $end); return $at };
    for (@actions) {
        my ($what, @n) = @$_;
        if ($what eq 'state') { $state{$n[0]} = $n[1]; next }
        if ($what eq 'full') { $place{$n[0]} = $take->($o{block}) unless defined $place{$n[0]}; $state{$n[0]} = 6; next }
        my ($at, $left, $value) = @n;
        while ($left) {
            my ($block, $in) = (int($at / $o{block}), $at % $o{block});
            my $n = $o{block} - $in < $left ? $o{block} - $in : $left;
            $place{$block} = $take->($o{block}) unless defined $place{$block};
            $state{$block} = $child ? 7 : 6 unless ($state{$block} // 0) >= 6;
            put($place{$block} + $in, chr($value) x $n);
            if ($state{$block} == 7) {
                my $chunk = int($block / $ratio);
                $bits{$chunk} //= "\0" x $MIB;
                my $first = ($block % $ratio) * ($o{block} / $o{sector});
                vec($bits{$chunk}, $first + $_, 1) = 1
                    for int($in / $o{sector}) .. int(($in + $n - 1) / $o{sector});
            }
            $at += $n;
            $left -= $n;
        }
    }
    my $entry = sub { put($bat_at + 8 * $_[0], pack('Q<', $_[1])) };
    $entry->($_ + int($_ / $ratio), $state{$_} | ($place{$_} // 0)) for keys %state;
    for (sort keys %bits) {
        my $at = $take->($MIB);
        put($at, $bits{$_});
        $entry->(($_ + 1) * ($ratio + 1) - 1, $at | 6);
    }
    truncate($file, $end);
}

# ---- change --------------------------------------------------------------------------------------

sub header_load {
    my ($copy) = @_;
    my %h;
    @h{qw(signature crc sequence file_write guid log log_version version log_length log_offset)} =
        unpack('a4 V Q< a16 a16 a16 vv V Q<', get(65536 * ($copy + 1), 80));
    return %h;
}

sub header_change {
    my ($copy, @words) = @_;
    my %h = header_load($copy);
    for (@words) {
        my ($key, $value) = split(/=/, $_, 2);
        $h{$key} = $key =~ /^(guid|log)$/ ? guid($value) : number($value);
    }
    put(65536 * ($copy + 1), header(%h));
}

sub current {
    my %a = header_load(0);
    my %b = header_load(1);
    return $b{sequence} > $a{sequence} ? 1 : 0;
}

# ---- log -----------------------------------------------------------------------------------------

sub log_write {
    my (@words) = @_;
    my %h = header_load(current());
    my $log_guid = guid('77777777-aaaa-bbbb-cccc-000000000001');
    my ($at, $sequence, @entries, %now) = (0, 1);
    for (@words) {
        my ($key, $value) = split(/[=,]/, $_, 2);
        if ($key eq 'at') { $at = number($value); next }
        if ($key eq 'entry') {
            my %e = (seq => $sequence, flushed => -s $file, last => -s $file, items => []);
            for (split(/,/, $value // '')) {
                my ($k, $v) = split(/=/, $_);
                $e{$k} = defined $v ? number($v) : 1;
            }
            $sequence = $e{seq} + 1;
            push @entries, \%e;
            next;
        }
        my ($offset, $n) = map { number($_) } split(/,/, $value);
        if ($key eq 'zero') { push @{$entries[-1]{items}}, [$offset, undef, $n]; next }
        my $start = $offset - $offset % 4096;
        my $sector = $key eq 'data' ? chr($n) x 4096 : $now{$start} // get($start, 4096);
        substr($sector, $offset - $start, 8) = pack('Q<', $n) if $key eq 'word';
        $now{$start} = $sector;
        push @{$entries[-1]{items}}, [$start, $sector];
    }
    my $first = $at;
    for my $e (@entries) {
        my @items = @{$e->{items}};
        my @data = grep { defined } map { $_->[1] } @items;
        my $from = int((64 + 32 * @items + 4095) / 4096) * 4096;
        my $length = $from + 4096 * @data;
        my $bytes = pack('a4 V V V Q< V V a16 Q< Q<', 'loge', 0, $length, $e->{tail} // $first,
            $e->{seq}, scalar @items, 0, $e->{other} ? guid('77777777-aaaa-bbbb-cccc-000000000009') : $log_guid,
            $e->{flushed}, $e->{last});
        for (@items) {
            my ($offset, $sector, $n) = @$_;
            $bytes .= defined $sector
                ? pack('a4 a4 a8 Q< Q<', 'desc', substr($sector, 4092), substr($sector, 0, 8), $offset, $e->{seq})
                : pack('a4 V Q< Q< Q<', 'zero', 0, $n, $offset, $e->{seq});
        }
        $bytes .= "\0" x ($from - length $bytes);
        $bytes .= 'data' . pack('V', $e->{seq} >> 32) . substr($_, 8, 4084) . pack('V', $e->{seq} & 0xffffffff)
            for @data;
        $bytes = sealed($bytes);
        for (my $i = 0; $i < $length; $i += 4096) {
            next if $e->{torn} && $i == $length - 4096;
            put($h{log_offset} + ($at + $i) % $h{log_length}, substr($bytes, $i, 4096));
        }
        $at = ($at + $length) % $h{log_length};
    }
    put(65536 * ($_ + 1), header(%h, sequence => $h{sequence} + 1 + $_, log => $log_guid)) for 0, 1;
}

# ---- main ----------------------------------------------------------------------------------------

my ($what, $name, @rest) = @ARGV;
if ($what eq 'make') {
    make($name, @rest);
} else {
    open($file, '+<:raw', $name) or die "$name: $!";
    if ($what eq 'guid') { my %h = header_load(current()); print guid_text($h{guid}), "\n" }
    elsif ($what eq 'header') { header_change(@rest) }
    elsif ($what eq 'log') { log_write(@rest) }
    elsif ($what eq 'seal') {
        put($_, sealed(get($_, 4096))) for 65536, 131072;
        put($_, sealed(get($_, 65536))) for 196608, 262144;
    } else { die "what is '$what'?" }
}
close($file) or die;
