// LuminosityLink ends each message with =P4CK3T= and parts its fields with 8_=_8.
rule luminosity
{
    meta:
        family = "luminosity"
        kind = "check-in"
        source = "Emerging Threats Open, LuminosityLink CnC; Unit 42, Investigating the LuminosityLink Remote Access Trojan Configuration (2016)"
    strings:
        $field = "8_=_8"
        $end = "=P4CK3T="
    condition:
        not udp and $field in (0..256) and $end and uint16be(filesize - 2) == 0x543d // "T="
}
