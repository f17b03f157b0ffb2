// LokiBot posts what it stole; its User-Agent is a browser that never was, and Content-Key is its own.
rule lokibot
{
    meta:
        family = "lokibot"
        kind = "check-in"
        source = "https://github.com/silence-is-best/c2db (Lokibot) and SANS, Loki-Bot: Information Stealer, Keylogger, & More (2017)"
    strings:
        $agent = "\r\nUser-Agent: Mozilla/4.08 (Charon; Inferno)\r\n"
        $key = /\r\nContent-Key: [0-9A-F]{6,8}\r\n/
    condition:
        not udp and uint32be(0) == 0x504f5354 and $agent and $key // "POST"
}
