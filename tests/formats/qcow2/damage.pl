#!/usr/bin/perl
# damage.pl IMG IO SEED [KIND]: a random qcow2 image "whole", and "broken": the same with one to
# four faults in its tables. IMG and IO are the original's programs. Says what it did.
use strict;
use warnings;
no warnings "portable";

my ($img, $io, $seed, $only) = @ARGV;
srand($seed);

sub pick { $_[ int rand @_ ] }

sub quiet {
    open(my $out, ">&", \*STDOUT);
    open(STDOUT, ">", "/dev/null");
    open(my $err, ">&", \*STDERR);
    open(STDERR, ">", "/dev/null");
    system(@_); # some writes cannot be done, as packed ones over plain data
    open(STDOUT, ">&", $out);
    open(STDERR, ">&", $err);
}

# -- the image -------------------------------------------------------------------------------------

my $cluster = pick(512, 4096, 16384, 65536);
my $bits    = pick(1, 2, 4, 8, 16, 16, 16, 32, 64);
my $wide    = $cluster >= 16384 && rand() < 0.25;          # extended L2
my $size    = $cluster == 512 ? 2 << 20 : 8 << 20;
my $shots   = $bits >= 4 ? int rand 3 : 0;
my $bitmap  = !$shots && rand() < 0.4;
my $compat  = $wide || $bits != 16 || $bitmap ? "1.1" : pick("1.1", "1.1", "0.10");
my $apart   = !$shots && $compat eq "1.1" && rand() < 0.1; # a data file

sub write_some {
    my @do;
    for (1 .. 1 + rand 8) {
        my $at = 512 * int(rand($size / 512));
        my $n  = 512 * (1 + int rand 200);
        $n = $size - $at if $at + $n > $size;
        my ($kind, $value, $block) = (rand(), 1 + int rand 250, $at - $at % $cluster);
        push @do, "-c", "write -P $value $at $n" if $kind < 0.7;
        push @do, "-c", "write -z $at $n" if $kind >= 0.7 && $kind < 0.85 && $compat eq "1.1";
        push @do, "-c", "write -c -P $value $block $cluster" if $kind >= 0.85 && !$apart;
    }
    quiet($io, @do, "whole") if @do;
}

unlink "whole", "data";
my $options = "cluster_size=$cluster,compat=$compat";
$options .= ",refcount_bits=$bits" if $compat eq "1.1";
$options .= ",extended_l2=on" if $wide;
$options .= ",data_file=data" if $apart;
print "$options, $shots snapshots, ", $bitmap ? "a bitmap\n" : "no bitmap\n";
quiet($img, "create", "-q", "-f", "qcow2", "-o", $options, "whole", $size);
quiet($img, "bitmap", "--add", "whole", "b") if $bitmap;
write_some();
for my $shot (1 .. $shots) {
    quiet($img, "snapshot", "-c", "s$shot", "whole");
    write_some();
}

# -- its tables ------------------------------------------------------------------------------------

system("cp", "whole", "broken");
open(my $file, "+<", "broken") or die;
binmode $file;

sub get {
    my ($at, $n) = @_;
    seek $file, $at, 0;
    my $bytes = "";
    read $file, $bytes, $n;
    return $bytes . "\0" x ($n - length $bytes);
}

sub put {
    my ($at, $bytes) = @_;
    seek $file, $at, 0;
    print $file $bytes;
    $file->flush;
}
sub word     { unpack "Q>", get($_[0], 8) }
sub put_word { put($_[0], pack "Q>", $_[1]) }

use constant { PLACE => 0x00fffffffffffe00, COPIED => 1 << 63, PACKED => 1 << 62 };
my $length   = -s "broken";
my $clusters = int(($length + $cluster - 1) / $cluster);
my ($l1, $l1_entries)   = (word(40), unpack "N", get(36, 4));
my ($refs, $refs_words) = (word(48), $cluster / 8 * unpack "N", get(56, 4));
my $entry  = $wide ? 16 : 8;
my @tables = grep { $_ } map { word($l1 + 8 * $_) & PLACE } 0 .. $l1_entries - 1;
my @blocks = grep { word($refs + 8 * $_) } 0 .. $refs_words - 1;

sub set_count {
    my ($index, $value) = @_;
    my $per   = $cluster * 8 / $bits;
    my $block = word($refs + 8 * int($index / $per)) or return;
    my $i     = $index % $per;
    if ($bits >= 8) {
        my $bytes = $bits / 8;
        put($block + $i * $bytes, substr(pack("Q>", $value), 8 - $bytes));
        return;
    }
    my ($at, $shift, $mask) = ($block + int($i * $bits / 8), $i * $bits % 8, (1 << $bits) - 1);
    my $byte = ord get($at, 1);
    put($at, chr($byte & ~($mask << $shift) | ($value & $mask) << $shift));
}

# the place of some entry that is not 0
sub some_entry {
    @tables or return 0;
    my $table = pick(@tables);
    my @used  = grep { word($table + $entry * $_) } 0 .. $cluster / $entry - 1;
    return @used ? $table + $entry * pick(@used) : 0;
}

# -- the faults ------------------------------------------------------------------------------------

my %faults = (
    count  => sub { set_count(int rand $clusters, 1 + int rand 5) },
    none   => sub { set_count(int rand $clusters, 0) },
    leak   => sub { set_count(int rand $clusters, (1 << ($bits > 16 ? 16 : $bits)) - 1) },
    marks  => sub { put_word(72, word(72) | 1 + int rand 3) if $compat eq "1.1" },
    block  => sub { put_word($refs + 8 * pick(@blocks), 0) if rand() < 0.4 },
    table  => sub { my $at = $l1 + 8 * int rand $l1_entries; put_word($at, word($at) ^ COPIED) if word($at) },
    flag   => sub { my $at = some_entry() or return; put_word($at, word($at) ^ COPIED) },
    shared => sub { my ($at, $from) = (some_entry(), some_entry()); put_word($at, word($from)) if $at },
    empty  => sub { my $at = some_entry() or return; put($at, "\0" x $entry) },
    uneven => sub {
        my $at = some_entry() or return;
        put_word($at, word($at) ^ 0x200) if $cluster > 512 && !(word($at) & PACKED);
    },
    zeros => sub {
        my $at = some_entry() or return;
        return if $cluster == 512 || word($at) & PACKED || $compat ne "1.1";
        my $host = word($at) & PLACE ? word($at) : COPIED | 5 * $cluster;
        put_word($at, $host | 0x200 | ($wide ? 0 : 1));
        put_word($at + 8, 0xffffffff << 32) if $wide;
    },
    beyond => sub {
        my $at = some_entry() or return;
        put_word($at, COPIED | $length - $length % $cluster + $cluster * int rand 20);
    },
);
for (1 .. 1 + int rand 4) {
    my $kind = $only || pick(sort keys %faults);
    print "$kind\n";
    $faults{$kind}->();
}
