// DarkComet: each message is RC4 from the start of the key stream, in hexadecimal. Without a password
// of the operator's the key is "#KCMDDC<version>#-890", so that "SERVER", the answer to "IDTYPE", and
// "KEEPALIVE" with digits behind it begin with constant digits. With a password there is no telling.

rule darkcomet_51
{
    meta:
        family = "darkcomet"
        kind = "beacon"
        version = "5.1 to 5.4"
        source = "http://www.contextis.com/research/blog/darkcometrat/ and Emerging Threats 2013283 to 2013285"
    strings:
        $message = /^(A57DAD495BEC|BD7DBA4F5FF2C6E471([0-9A-F]{2}){1,24})$/
    condition:
        not udp and $message
}

rule darkcomet_5
{
    meta:
        family = "darkcomet"
        kind = "beacon"
        version = "5.0"
        source = "http://www.contextis.com/research/blog/darkcometrat/ and Emerging Threats 2013283 to 2013285"
    strings:
        $message = /^(0B65865397F9|1365915593E7E58ED8([0-9A-F]{2}){1,24})$/
    condition:
        not udp and $message
}

rule darkcomet_42f
{
    meta:
        family = "darkcomet"
        kind = "beacon"
        version = "4.2F"
        source = "http://www.contextis.com/research/blog/darkcometrat/ and Emerging Threats 2013283 to 2013285"
    strings:
        $message = /^(0F5DAB3EB308|175DBC38B716BED96E([0-9A-F]{2}){1,24})$/
    condition:
        not udp and $message
}

rule darkcomet_42
{
    meta:
        family = "darkcomet"
        kind = "beacon"
        version = "4.2"
        source = "http://www.contextis.com/research/blog/darkcometrat/ and Emerging Threats 2013283 to 2013285"
    strings:
        $message = /^(DDCE9A73CC25|C5CE8D75C83B256AF7([0-9A-F]{2}){1,24})$/
    condition:
        not udp and $message
}

rule darkcomet_4
{
    meta:
        family = "darkcomet"
        kind = "beacon"
        version = "4.0"
        source = "http://www.contextis.com/research/blog/darkcometrat/ and Emerging Threats 2013283 to 2013285"
    strings:
        $message = /^(AE7DBE9DA215|B67DA99BA60B3A60BF([0-9A-F]{2}){1,24})$/
    condition:
        not udp and $message
}

rule darkcomet_2
{
    meta:
        family = "darkcomet"
        kind = "beacon"
        version = "2 to 3"
        source = "http://www.contextis.com/research/blog/darkcometrat/ and Emerging Threats 2013283 to 2013285"
    strings:
        $message = /^(94A5AD0AEF69|8CA5BA0CEB77DEAD39([0-9A-F]{2}){1,24})$/
    condition:
        not udp and $message
}

// The same without encryption.
rule darkcomet_plain
{
    meta:
        family = "darkcomet"
        kind = "beacon"
        source = "https://lists.snort.org/pipermail/snort-sigs/2011-November/010181.html"
    strings:
        $message = /^KEEPALIVE[0-9]{5,12}\|?$/
    condition:
        not udp and $message
}
