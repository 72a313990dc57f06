# bad-server.pl PORTFILE BYTES: a web server on the loopback device that misbehaves as the path says.
# The file it has is made of 8-byte numbers, each its own offset. The port goes to PORTFILE.
use strict;
use warnings;
use IO::Socket::INET;

my ($portfile, $size) = @ARGV;
my $server = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die;
open(my $out, '>', "$portfile.new") or die;
print $out $server->sockport;
close $out;
rename "$portfile.new", $portfile;
$SIG{CHLD} = 'IGNORE';
setpgrp; # those that serve a connection end with us
$SIG{TERM} = sub { local $SIG{TERM} = "IGNORE"; kill TERM => -$$; exit };

# bytes FROM, TO of the file
sub bytes {
    my ($from, $to) = @_;
    my $first = int($from / 8);
    my $all = join '', map { pack('Q<', $_ * 8) } $first .. int($to / 8);
    return substr($all, $from - $first * 8, $to - $from + 1);
}

while (my $c = $server->accept) {
    next if fork;
    $SIG{TERM} = "DEFAULT";
    $server->close;
    my $head = sub {
        my ($status, @lines) = @_;
        print $c join("\r\n", "HTTP/1.1 $status", @lines, '', '');
    };
    while (my $request = <$c>) {
        my ($method, $path) = $request =~ m{^(\S+) /(\S*)} or last;
        my ($from, $to) = (0, $size - 1);
        while (my $line = <$c>) {
            last if $line =~ /^\r?\n$/;
            ($from, $to) = ($1, $2) if $line =~ /^range: *bytes=(\d+)-(\d+)/i;
        }
        my $n = $to - $from + 1;
        my $late = $from >= $size / 2;
        my @part = ("Content-Length: $n", "Content-Range: bytes $from-$to/$size");
        if ($path eq "loops") {
            $head->("302 Found", "Location: /loops", "Content-Length: 0");
        } elsif ($path eq "local") {
            $head->("302 Found", "Location: file:///etc/passwd", "Content-Length: 0");
        } elsif ($path eq 'nolength') {
            $head->('200 OK', 'Accept-Ranges: bytes', 'Transfer-Encoding: chunked');
            print $c "0\r\n\r\n" if $method ne 'HEAD';
        } elsif ($method eq 'HEAD' && $path eq 'nohead') {
            $head->('405 Method Not Allowed', 'Content-Length: 0');
        } elsif ($method eq 'HEAD') {
            $head->('200 OK', "Content-Length: $size", 'Accept-Ranges: bytes');
        } elsif ($path eq 'ignores') {
            $head->('200 OK', "Content-Length: $size");
            print $c bytes(0, $size - 1);
        } elsif ($path eq 'short' && $late) {
            $head->('206 Partial Content', @part);
            print $c substr(bytes($from, $to), 0, 100);
            last;
        } elsif ($path eq 'shorter' && $late) {
            $head->('206 Partial Content', 'Content-Length: 100');
            print $c substr(bytes($from, $to), 0, 100);
        } elsif ($path eq 'longer' && $late) {
            $head->('206 Partial Content', 'Content-Length: ' . ($n + 8));
            print $c bytes($from, $to), "\0" x 8;
        } elsif ($path eq 'changed' && $late) {
            $head->('206 Partial Content', "Content-Length: $n",
                "Content-Range: bytes $from-$to/" . 2 * $size);
            print $c bytes($from, $to);
        } elsif ($path eq 'shifted' && $late) {
            $head->('206 Partial Content', "Content-Length: $n",
                'Content-Range: bytes ' . ($from + 512) . '-' . ($to + 512) . "/$size");
            print $c bytes($from, $to);
        } elsif ($path eq 'busy' && $late) {
            $head->('503 Service Unavailable', 'Content-Length: 0');
        } elsif ($path eq 'stalls' && $late) {
            $head->('206 Partial Content', @part);
            $c->flush;
            sleep 60;
        } elsif ($path eq 'closes' && $late) {
            last;
        } else {
            $head->('206 Partial Content', @part);
            print $c bytes($from, $to);
        }
        $c->flush;
    }
    exit 0;
}
