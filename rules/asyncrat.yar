// AsyncRAT, DcRat, Venom and kin, within TLS: the length of what follows, then the length of the plain
// MessagePack and a gzip stream as .NET writes it, lengths little-endian.
rule asyncrat
{
    meta:
        family = "asyncrat"
        kind = "check-in"
        source = "https://github.com/NYAN-x-CAT/AsyncRAT-C-Sharp (MessagePackLib, Zip.cs; ClientSocket.cs)"
    strings:
        $gzip = { 1f 8b 08 00 00 00 00 00 (00 | 02 | 04) (00 | 0a) }
    condition:
        not udp and $gzip at 8 and uint32(0) == filesize - 4 and
        uint32(4) > 0 and uint32(4) < 16MB
}
