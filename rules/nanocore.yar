// NanoCore: a length, little-endian, and so many octets of DES-CBC with constant key and start, so that
// the first block of what a bot says first is constant.
rule nanocore
{
    meta:
        family = "nanocore"
        kind = "check-in"
        source = "https://github.com/silence-is-best/c2db (Nanocore)"
    strings:
        $first = { 17 f5 4b 2c c3 65 ca 9f }
    condition:
        not udp and $first at 4 and uint32(0) % 8 == 0 and uint32(0) <= filesize - 4 and
        uint32(0) >= 16 and uint32(0) <= 4096
}
