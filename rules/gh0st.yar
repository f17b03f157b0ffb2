// Gh0st and its many children: a tag of five characters, the packet's length with this header, the
// length of its plain content, both little-endian, and a zlib stream.

// The login that scanners which hunt for controllers send: a constant one, from "Service Pack 1".
rule gh0st_probe
{
    meta:
        kind = "probe"
        source = "https://www.volexity.com/blog/2017/03/"
    strings:
        $login = { 78 9c 4b 53 60 60 98 c3 c0 c0 c0 06 c4 8c 40 bc }
    condition:
        $login at 13 and not udp
}

rule gh0st
{
    meta:
        family = "gh0st"
        kind = "check-in"
        source = "https://www.sans.org/reading-room/whitepapers/detection/gh0st-dshell-decoding-undocumented-protocols-37032"
    strings:
        $header = /^[!-~]{5}[\x10-\xff][\x00-\x0f]\x00\x00..[\x00-\x7f]\x00\x78\x9c/s
    condition:
        not udp and not gh0st_probe and $header and uint32(9) > 0 and uint32(5) <= filesize and
        // More packets may follow: then one begins where this one ends.
        (uint32(5) == filesize or
         (uint32(5) + 4 <= filesize and uint32(uint32(5)) == uint32(0)))
}
