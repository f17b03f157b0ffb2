// XtremeRAT: a bot says its version, or asks for its functions as if they were a page.
rule xtremerat
{
    meta:
        family = "xtremerat"
        kind = "check-in"
        source = "FireEye, XtremeRAT: Nuisance or Threat? (2014)"
    strings:
        $version = /^myversion\|[2-4]\.[0-9][!-~ ]{0,24}\r\n/
        $functions = /^GET \/[0-9]{1,10}\.functions HTTP\/1\.[01]\r\n/
    condition:
        not udp and ($version or $functions)
}
