# SPDX-License-Identifier: MIT
#
# scripts/programs/work.pl - what Perl is used for: hashes, patterns, sorting, strings that grow
#
# Idea      a log is made up, cut apart with patterns, counted in nested hashes, sorted and
#           written out again. The random numbers are our own, so that every Perl prints the same.
# Usage     perl work.pl SIZE
use strict;
use warnings;

my $size = shift // 100_000;
my $seed = 20_040_611;

sub rnd { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return ($seed >> 8) % $_[0] }

my @words = map { join '', map { chr 97 + rnd(26) } 1 .. 3 + rnd(9) } 1 .. 5000;

sub line {
	my $n = shift;
	return sprintf "%06d host%03d %s[%d]: %s", $n, rnd(200), $words[rnd(50)], rnd(30_000),
		join ' ', map { $words[rnd(5000)] } 1 .. 4 + rnd(10);
}

my (%count, %by_host, %pairs, @kept);
for my $n (1 .. $size) {
	my $line = line($n);
	next unless $line =~ /^(\d+) (host\d+) (\w+)\[(\d+)\]: (.*)$/;
	my ($when, $host, $who, $pid, $text) = ($1, $2, $3, $4, $5);
	my $last = '';
	for my $word (split ' ', $text) {
		$count{$word}++;
		$by_host{$host}{$word} += length $word;
		$pairs{"$last $word"}++ if $last gt $word;
		$last = $word;
	}
	push @kept, { when => $when, who => $who, pid => $pid, text => $text } if $n % 3 == 0;
}

my $sum = 0;
for my $e (sort { $a->{text} cmp $b->{text} || $a->{when} <=> $b->{when} } @kept) {
	(my $t = $e->{text}) =~ s/([aeiou]+)([^aeiou ])/$2\U$1/g;
	$sum = ($sum * 31 + unpack '%32C*', "$e->{who}:$t") % 1_000_000_007;
}
delete @pairs{ grep { $pairs{$_} == 1 } keys %pairs };

print "sum $sum lines ", scalar @kept, " pairs ", scalar keys %pairs, "\n";
print "$_ $count{$_}\n" for sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
for my $host (sort keys %by_host) {
	my $h = $by_host{$host};
	print join(' ', $host, map { "$_=$h->{$_}" } (sort keys %$h)[0 .. 9]), "\n";
}
