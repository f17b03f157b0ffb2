// Remcos from version 3: a magic number, a length, a command, little-endian, and fields parted by
// |1e 1e 1f|.
rule remcos
{
    meta:
        family = "remcos"
        kind = "check-in"
        version = "3 or later"
        source = "Elastic Security Labs, Dissecting REMCOS RAT (2024)"
    strings:
        $separator = { 7c 1e 1e 1f 7c }
    condition:
        not udp and uint32be(0) == 0x2404ff00 and uint32(4) <= filesize - 8 and uint32(8) == 0x4b and
        $separator
}

// Before, "[DataStart]" began a message; encrypted with RC4 and the builder's first password, "pass".
rule remcos_datastart
{
    meta:
        family = "remcos"
        kind = "check-in"
        version = "1 to 2"
        source = "Emerging Threats Open, Remcos RAT Checkin"
    strings:
        $plain = "[DataStart]"
        $cipher = { 1b 84 d5 b0 5d f4 c4 93 c5 30 c2 }
    condition:
        not udp and filesize > 15 and ($plain at 0 or $cipher at 0)
}
