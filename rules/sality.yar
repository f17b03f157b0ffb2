// Sality fetches lists by GET with a hexadecimal name and a decimal value, under a name of its own or that
// of an Opera that never was.
rule sality
{
    meta:
        family = "sality"
        kind = "beacon"
        source = "Symantec, Sality: Story of a Peer-to-Peer Viral Network (2011); Emerging Threats Open, Sality User-Agent"
    strings:
        $request = /\?[0-9a-f]{2,8}=[0-9]{1,12} HTTP\/1\.[01]\r\n/
        $kuku = "KUKU v"
        $opera = "\r\nUser-Agent: Opera/8.89 ("
    condition:
        not udp and uint32be(0) == 0x47455420 and $request in (4..128) and // "GET "
        ($kuku or $opera)
}
