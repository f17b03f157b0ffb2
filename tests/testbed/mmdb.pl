# Writes an MMDB file: perl mmdb.pl FILE < JSON, an object of networks and their records. A number
# becomes a uint32, an object a map, everything else a text; a key has one type in the whole file.
use strict;
use warnings;
use JSON::PP;
use MaxMind::DB::Writer::Tree;

my ($path) = @ARGV;
my $networks = decode_json(do { local $/; <STDIN> });
my %types;

sub types_learn {
    my ($record) = @_;
    for my $key (keys %$record) {
        my $value = $record->{$key};
        if (ref $value eq 'HASH') {
            $types{$key} = 'map';
            types_learn($value);
        } elsif (JSON::PP->new->allow_nonref->encode($value) =~ /^\d+$/) {
            $types{$key} = 'uint32';
        }
    }
}
types_learn($_) for values %$networks;

my $tree = MaxMind::DB::Writer::Tree->new(
    ip_version               => 6,
    record_size              => 24,
    database_type            => 'Tamis-Test',
    languages                => ['en'],
    description              => { en => 'Networks of a test' },
    map_key_type_callback    => sub { $types{ $_[0] } // 'utf8_string' },
    remove_reserved_networks => 0,
);
$tree->insert_network($_, $networks->{$_}) for sort keys %$networks;
open my $file, '>:raw', $path or die "$path: $!";
$tree->write_tree($file);
close $file or die "$path: $!";
