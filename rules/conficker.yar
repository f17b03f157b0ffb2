// Conficker A and B ask the computed rendezvous points for updates. They resolve the name themselves and
// name the address in Host; a browser sends more header fields.
rule conficker
{
    meta:
        family = "conficker"
        kind = "beacon"
        source = "https://www.usenix.org/legacy/event/leet09/tech/full_papers/porras/porras_html/ and Emerging Threats 2009024"
    strings:
        $first = /^GET \/search\?q=[0-9]{1,5}(&aq=7(\?[0-9a-f]{8})?)? HTTP\/1\.[01]\r\n/
        $address = /\r\nHost: [0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(:80)?\r\n/
        $agent = "\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE "
        $language = "\r\nAccept-Language:"
        $referer = "\r\nReferer:"
        $cookie = "\r\nCookie:"
    condition:
        not udp and $first and $address and $agent and not ($language or $referer or $cookie)
}
