// Ramnit: 00 ff, a length, little-endian, a command and fields each with a type and, for octets, a
// length. 0xe2 says who it is: two hashes, the first of the machine, RC4 with a constant key.
rule ramnit
{
    meta:
        family = "ramnit"
        kind = "check-in"
        id = "$id"
        source = "CERT Polska, Ramnit: in-depth analysis (2017); Emerging Threats Open, Win32/Ramnit checkin"
    strings:
        $id = { 00 ff 4b 00 00 00 e2 00 20 00 00 00 [32] 00 20 00 00 00 [31] ?? }
    condition:
        not udp and $id at 0 and filesize >= 6 + uint32(2)
}
