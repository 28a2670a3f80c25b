# SPDX-License-Identifier: MIT
#
# programs/checks.pl - Perl checks itself: it compares its results with the expected ones
#
# Idea      strings that grow and shrink, nested data and its copies, patterns, sorting, weak
#           references, interpreter threads (a whole interpreter is cloned), forks with pipes.
use strict;
use warnings;
use Test::More;
use Config;
use Scalar::Util qw(weaken);
use Storable qw(dclone freeze thaw);
use Digest::SHA qw(sha256_hex);
use POSIX ();

my $text = '';
$text .= chr(97 + $_ % 26) x ($_ % 50) for 1 .. 20_000;
is length $text, 490_000, 'a string that grew 20,000 times';
(my $less = $text) =~ s/([aeiou])\1*//g;
unlike $less, qr/[aeiou]/, 'substitution took every vowel';
is join('', reverse split //, join '', reverse split //, $text), $text, 'reversed twice';

my %h = map { ("key$_" => [1 .. $_ % 20]) } 1 .. 30_000;
delete @h{ map { "key$_" } grep { $_ % 2 } 1 .. 30_000 };
is scalar keys %h, 15_000, 'half of the keys deleted';
is scalar(grep { $#{ $h{$_} } + 1 != (substr $_, 3) % 20 } keys %h), 0, 'every value intact';
is_deeply dclone(\%h), \%h, 'a deep copy is equal';
is_deeply thaw(freeze(\%h)), \%h, 'frozen and thawed';

my @s = sort { $a <=> $b } map { ($_ * 7919) % 100_003 } 1 .. 100_002;
is_deeply \@s, [1 .. 100_002], 'a permutation sorted';
my @w = sort map { sha256_hex($_) } 1 .. 20_000;
is scalar(grep { $w[$_ - 1] gt $w[$_] } 1 .. $#w), 0, 'strings sorted';

my @ring = map { { n => $_ } } 1 .. 10_000;
for (0 .. $#ring) { $ring[$_]{next} = $ring[($_ + 1) % @ring]; weaken $ring[$_]{next} }
my $last = $ring[-1];
@ring = ();
ok !defined $last->{next}, 'weak references went with their objects';

for my $child (1 .. 20) {
	pipe my $in, my $out or die;
	my $pid = fork // die;
	if (!$pid) {
		print $out sha256_hex(join ',', map { $h{"key$_"} ? "@{ $h{qq(key$_)} }" : '' } 1 .. 3000);
		close $out;
		POSIX::_exit(0);
	}
	close $out;
	my $got = <$in>;
	waitpid $pid, 0;
	is "$? " . length $got, '0 64', "child $child read the parent's data" if $child % 5 == 0;
	die "child $child failed" if $? || length $got != 64;
}

SKIP: {
	skip 'this perl has no threads', 2 unless $Config{useithreads};
	require threads;
	my $work = sub { my %m = map { $_ => "v$_" x ($_ % 9) } 1 .. 5000; return scalar keys %m };
	for my $turn (1 .. 2) {
		my @t = map { threads->create($work) } 1 .. 6;
		is_deeply [ map { $_->join } @t ], [ (5000) x 6 ], "six interpreters, turn $turn";
	}
}
done_testing();
