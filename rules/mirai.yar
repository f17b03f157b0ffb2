// Mirai: 00 00 00 01, the length of the name that its build was given, that name, and then two zeros a
// minute as ping.
rule mirai
{
    meta:
        family = "mirai"
        kind = "check-in"
        source = "https://github.com/jgamblin/Mirai-Source-Code (mirai/bot/main.c)"
    strings:
        $message = /^\x00\x00\x00\x01(\x00|[\x01-\x20][!-~]{1,32})(\x00\x00){0,64}$/s
    condition:
        not udp and uint32be(0) == 1 and uint8(4) <= 32 and filesize >= 5 + uint8(4) and
        $message and (filesize - 5 - uint8(4)) % 2 == 0 and
        (uint8(4) == 0 or uint8(4 + uint8(4)) != 0) and
        (filesize == 5 + uint8(4) or uint8(5 + uint8(4)) == 0)
}
