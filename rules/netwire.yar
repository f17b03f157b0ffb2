// NetWire: a length of 65, the command "begin", a seed of 32 octets and what starts the cipher.
rule netwire
{
    meta:
        family = "netwire"
        kind = "check-in"
        source = "Palo Alto Networks Unit 42, New Release: Decrypting NetWire C2 Traffic (2014)"
    condition:
        not udp and filesize == 69 and uint32(0) == 65 and (uint8(4) == 3 or uint8(4) == 0x99) and
        // The seed is random: zeros or one repeated octet are somebody's probe.
        uint32(5) != uint32(9) and uint32(37) != uint32(41)
}
