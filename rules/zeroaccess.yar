// ZeroAccess, version 2: sixteen octets of UDP, exclusive-or with "ftp2" rotated by one bit a word: a
// checksum, "getL", a zero and a random number.
rule zeroaccess
{
    meta:
        family = "zeroaccess"
        kind = "beacon"
        version = "2"
        source = "Sophos, The ZeroAccess Botnet: Mining and Fraud for Massive Financial Gain (2012)"
    strings:
        $get_list = { 28 94 8d ab c9 c0 d1 99 }
    condition:
        udp and filesize == 16 and $get_list at 4
}
