"""Ordinary first packets: what must not be called a victim, near misses among them."""

import base64
import json
import random
import ssl
import struct

BROWSERS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; WOW64; Trident/4.0; SLCC2; .NET CLR 2.0.50727; .NET4.0C)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Opera/9.80 (Windows NT 6.1; U; ru) Presto/2.10.229 Version/11.64",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0.2535.92",
    "Mozilla/5.0 (Linux; U; Android 4.4.2; ar-eg; SM-G7102) AppleWebKit/534.30 Version/4.0 Mobile Safari/534.30"]

TOOLS = [
    "curl/7.88.1", "Wget/1.21.3", "python-requests/2.32.3", "Python-urllib/3.11", "Go-http-client/1.1",
    "okhttp/4.12.0",
    "Java/1.8.0_392", "Apache-HttpClient/4.5.14 (Java/17.0.9)",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
    "axios/1.7.2", "PostmanRuntime/7.39.0", "libwww-perl/6.68", "WinHttp.WinHttpRequest.5.1 (compatible)",
    "Microsoft-CryptoAPI/10.0", "Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.50",
    "Microsoft NCSI",
    "Debian APT-HTTP/1.3 (2.6.1)", "pacman/6.1.0 (Linux x86_64) libalpm/14.0.0", "dotnet/8.0",
    "Dalvik/2.1.0 (Linux; U; Android 13)",
    "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4522",
    "VLC/3.0.20 LibVLC/3.0.20",
    "gvfs/1.50.3", "Microsoft-WebDAV-MiniRedir/10.0.19045", "DavClnt", "git/2.39.2", "Transmission/3.00",
    "qBittorrent/4.6.4",
    "Home Assistant/2024.6", "Roku/DVP-12.5", "SonosLink UPnP/1.0", "DynDNS-Client-2.0", "ddclient/3.10.0",
    "inadyn/2.10.0",
    "No-IP DUC/4.1.1 user@mail.example", "RestSharp/106.15", "fasthttp", "Ruby", "PHP/8.2.20", "HTTPie/3.2.2",
    "aria2/1.36.0"]


def http(method, target, lines, body=b"", version="HTTP/1.1"):
    return "\r\n".join([f"{method} {target} {version}", *lines]).encode() + b"\r\n\r\n" + body


def browsers(put, choose):
    for number, agent in enumerate(BROWSERS * 6):
        host = choose.choice(["home-cam.dyn.example", "shop.example", "192.0.2.44", "blog.dyn.example:8080"])
        target = choose.choice(["/", "/index.html", "/favicon.ico", "/a/b.css?v=3",
                                "/search?q=%7C%27%7C%27%7C", "/watch?v=dQw4&t=1",
                                "/img/is-ready.png", "/ready", "/api/vre", "/wiki/NjRAT",
                                "/t/lv-language-pack|x"])
        lines = [f"Host: {host}", "Connection: keep-alive", f"User-Agent: {agent}",
                 "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                 "Accept-Encoding: gzip, deflate",
                 "Accept-Language: " + choose.choice(["en-US,en;q=0.9", "ar-EG,ar;q=0.8", "fr-FR",
                                                      "ru,en;q=0.7"])]
        if number % 4 == 1:
            lines.append("Cookie: sid=" + base64.b64encode(choose.randbytes(90)).decode() + "; cart=1|2|3|'|'|; tz=Africa%2FCairo")
        if number % 5 == 2:
            lines += ["Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Upgrade-Insecure-Requests: 1",
                      "DNT: 1"]
        if number % 7 == 3:
            body = b"name=Ben+Salem&comment=" + base64.b64encode(choose.randbytes(120)).replace(b"+", b"%2B")
            put("http", http("POST", "/comment", lines + ["Content-Type: application/x-www-form-urlencoded",
                                                          f"Content-Length: {len(body)}"], body))
        else:
            if number % 6 == 4:
                choose.shuffle(lines)
            octets = http("GET", target, lines, version="HTTP/1.0" if number % 11 == 5 else "HTTP/1.1")
            put("http", octets[:len(octets) * 2 // 3] if number % 13 == 6 else octets)


def tools(put, choose):
    for number, agent in enumerate(TOOLS):
        lines = [f"Host: files{number}.dyn.example", f"User-Agent: {agent}", "Accept: */*"]
        put("http", http("GET", choose.choice(["/", "/v1/status", "/releases/x.tar.gz", "/connecttest.txt",
                                               "/nic/update?hostname=a.dyn.example"]), lines))
        if number % 2:
            body = json.dumps({"id": choose.randrange(10**6), "machine": "DESKTOP-A1B2C3D", "user": "admin",
                               "os": "Windows 10",
                               "note": "a|'|'|b", "blob": base64.b64encode(choose.randbytes(60)).decode()}).encode()
            put("http", http(choose.choice(["POST", "PUT", "PATCH"]),
                             choose.choice(["/api/v2/events", "/is-alive", "/telemetry", "/is-ready",
                                            "/graphql"]),
                             lines + ["Content-Type: application/json", f"Content-Length: {len(body)}"],
                             body))
        if number % 3 == 0:
            put("http", http("GET", "/x", [line.lower() for line in lines]))


NEAR = [  # (method, target, lines, body)
    ("GET", "/is-ready", ["Host: app.example:8080", "User-Agent: kube-probe/1.29", "Accept: */*",
                          "Connection: close"], b""),
    ("POST", "/is-ready", ["Host: ci.example", "User-Agent: curl/8.5.0", "Accept: */*", "Content-Length: 0"],
     b""),
    ("POST", "/is-ready", ["Host: ci.example", "Content-Length: 2"], b"{}"),
    ("GET", "/is-sending", ["Host: mail.example", "User-Agent: Mozilla/5.0"], b""),
    ("POST", "/ready", ["Host: ci.example", "User-Agent: deploy-tool/2 (team|prod|eu)", "Content-Length: 0"],
     b""),
    ("POST", "/Vre", ["Host: docs.example", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
                      "Content-Length: 0"], b""),
    ("GET", "/", ["Host: intranet.example", "User-Agent: CORP\\jdoe"], b""),
    ("GET", "/", ["Host: a.example", "User-Agent: MyApp|1.2|Windows|x64"], b""),
    ("GET", "/", ["Host: a.example", "User-Agent: App/3.1 <build|77> (PC\\Windows\\10)"], b""),
    ("POST", "/report", ["Host: a.example",
                         "User-Agent: Agent|HOSTNAME-1|admin|Microsoft Windows 10 Pro|10.0.19045",
                         "Content-Length: 0"], b""),
    ("GET", "/", ["Host: a.example", "User-Agent: Zabbix agent <|> check"], b""),
    ("GET", "/?d=a<|>b<|>c<|>d<|>e<|>f", ["Host: a.example", "User-Agent: Mozilla/5.0"], b""),
    ("POST", "/log", ["Host: a.example", "User-Agent: fluentd", "Content-Length: 34"],
     b"lv|'|'|x|'|'|y|'|'|z [endof] done\n"),
    ("POST", "/paste", ["Host: p.example", "User-Agent: Mozilla/5.0", "Content-Length: 60"],
     b"145\x00ll|'|'|SGFjS2VkX0Q0OTkwNjI3|'|'|PC|'|'|u|'|'|19-02-01|'|'||'|'|x"),
    ("GET", "/wiki?page=WSHRAT|H-Worm", ["Host: w.example", "User-Agent: Mozilla/5.0 WSHRAT-research"], b""),
    ("GET", "/", ["Host: a.example", "User-Agent: ()"], b""), ("GET", "/", ["Host: a.example", "User-Agent:"],
                                                               b""),
    ("GET", "/", ["Host: a.example", "User-Agent: \\\\fileserver\\share\\tool.exe"], b""),
    ("GET", "/", ["Host: a.example", "User-Agent: a\\b\\c\\d\\e\\f\\g\\h"], b""),
    ("GET", "/", ["Host: a.example", "User-Agent: 1|2|3|4|5|6|7|8"], b""),
    ("GET", "/", ["Host: a.example", "User-Agent: C4BA3647"], b""),
    ("POST", "/is-enum-driver-types", ["Host: a.example", "User-Agent: curl/8.5.0", "Content-Length: 0"],
     b""),
    ("GET", "/static/js/is-enum-.js", ["Host: a.example", "User-Agent: Mozilla/5.0"], b""),
    ("OPTIONS", "*", ["Host: a.example"], b""),
    ("POST", "/update-status", ["Host: a.example", "User-Agent: okhttp/4.12.0", "Content-Length: 4"],
     b"ok=1"),
    ("GET", "/", ["Host: a.example", "X-Forwarded-For: 192.0.2.1",
                  "X-Data: a<|>b<|>c<|>plus<|>nan-av<|>false"], b""),
    ("GET", "/", ["Host: a.example", "User-Agent: Lexmark\\MX611\\LW80\\EN\\1\\2"], b""),
    ("POST", "/checkin", ["Host: munki.example", "User-Agent: managedsoftwareupdate/6.3 Darwin/22.6.0",
                          "Content-Length: 0"], b""),
]


def services(put, choose):
    for method, target, lines, body in NEAR:
        watches = "kube-probe" in str(lines) or "Zabbix" in str(lines)
        put("monitor" if watches else "http", http(method, target, lines, body))
    soap = ('<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            "<Login><user>admin</user><pc>USER-PC</pc></Login></s:Body></s:Envelope>").encode()
    for action in ("Login", "GetSystemDateAndTime", "urn:Belkin:service:basicevent:1#SetBinaryState",
                   "CheckUpdates"):
        put("http", http("POST", "/svc.asmx", ["Host: soap.example", "User-Agent: gSOAP/2.8",
                                               f'SOAPAction: "{action}"',
                                               "Content-Type: text/xml; charset=utf-8",
                                               f"Content-Length: {len(soap)}"], soap))
    for _ in range(4):
        put("http", http("GET", "/chat", ["Host: ws.example", f"User-Agent: {BROWSERS[0]}",
                                          "Upgrade: websocket", "Connection: Upgrade",
                                          f"Sec-WebSocket-Key: {base64.b64encode(choose.randbytes(16)).decode()}",
                                          "Sec-WebSocket-Version: 13", "Origin: http://ws.example"]))
    for method, target in (("PROPFIND", "/dav/"), ("MKCOL", "/dav/new/"), ("REPORT", "/cal/user/"),
                           ("LOCK", "/dav/a.docx"),
                           ("SUBSCRIBE", "/upnp/event"), ("MOVE", "/dav/a"), ("DELETE", "/dav/a"),
                           ("UNLOCK", "/dav/a")):
        put("http", http(method, target, ["Host: dav.example",
                                          "User-Agent: Microsoft-WebDAV-MiniRedir/10.0.19045", "Depth: 1",
                                          "Content-Length: 0"]))
    for _ in range(10):
        body = base64.b64encode(choose.randbytes(600))
        put("http", http("POST", "/upload", ["Host: up.example", f"User-Agent: {choose.choice(BROWSERS)}",
                                             f"Content-Length: {len(body)}",
                                             "Authorization: Bearer " + base64.urlsafe_b64encode(choose.randbytes(120)).decode(),
                                             "Cookie: state=" + base64.b64encode(choose.randbytes(300)).decode()], body))
    for target in ("http://proxy.example/", "http://192.0.2.1:8080/a?b|c"):
        put("http-scan", http("GET", target, ["Host: proxy.example", f"User-Agent: {BROWSERS[1]}",
                                              "Proxy-Connection: keep-alive"]))
    for agent in ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                  "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
                  "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
                  "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
                  "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
                  "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"):
        for target in ("/robots.txt", "/", "/sitemap.xml"):
            put("crawler", http("GET", target, ["Host: blog.dyn.example", f"User-Agent: {agent}",
                                                "Accept: */*"]))


def hello(choose, names, options):
    """A ClientHello of the OpenSSL behind this Python, with seeded octets where it draws its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    options(context)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=names).do_handshake()
    except ssl.SSLWantReadError:
        pass
    octets = bytearray(outgoing.read())
    octets[11:43] = choose.randbytes(32)
    at = 44 + octets[43]
    octets[44:at] = choose.randbytes(octets[43])
    at += 2 + struct.unpack_from(">H", octets, at)[0]
    at += 1 + octets[at]
    at += 2
    while at < len(octets):
        kind, size = struct.unpack_from(">HH", octets, at)
        if kind == 51:  # key_share: the last octets are the key
            octets[at + 10:at + 4 + size] = choose.randbytes(size - 6)
        at += 4 + size
    return bytes(octets)


def tls(put, choose):
    def only(low, high):
        def option(context):
            context.minimum_version, context.maximum_version = low, high
        return option
    v = ssl.TLSVersion
    shapes = [lambda c: None, only(v.TLSv1_2, v.TLSv1_2), only(v.TLSv1_3, v.TLSv1_3),
              only(v.TLSv1_2, v.TLSv1_3),
              lambda c: c.set_alpn_protocols(["h2", "http/1.1"]),
              lambda c: c.set_alpn_protocols(["http/1.1"]),
              lambda c: c.set_alpn_protocols(["imap"]), lambda c: c.set_ciphers("ECDHE+AESGCM"),
              lambda c: c.set_ciphers("ALL:@SECLEVEL=0"),
              lambda c: c.set_ciphers("AES128-SHA:@SECLEVEL=0"), lambda c: c.set_ecdh_curve("secp384r1"),
              lambda c: setattr(c, "options", c.options | ssl.OP_NO_TICKET)]
    for shape in shapes:
        for name in ("mail.dyn.example", "a-very-long-label-of-a-name-that-someone-chose.home.dyn.example",
                     None):
            put("tls", hello(choose, name, shape))
    octets = hello(choose, "cut.dyn.example", shapes[0])
    for size in (43, 90, 200):
        put("tls", octets[:size])
    put("tls", b"\x80\x46\x01\x03\x01\x00\x2d\x00\x00\x00\x10" + choose.randbytes(61))  # SSL 2.0's


SSH = ["OpenSSH_9.2p1 Debian-2+deb12u2", "OpenSSH_7.4", "OpenSSH_for_Windows_8.1",
       "OpenSSH_8.9p1 Ubuntu-3ubuntu0.7", "PuTTY_Release_0.81",
       "libssh2_1.11.0", "libssh_0.10.6", "libssh-0.6.3", "paramiko_3.4.0", "Go", "JSCH-0.1.54",
       "JSCH_0.2.17", "dropbear_2022.83", "AsyncSSH_2.14.2",
       "WinSCP_release_6.3.3", "FileZilla_3.67.0", "TeraTerm_5.2", "SecureCRT_9.5.1 (x64 build 3241)",
       "ssh2js1.15.0", "Renci.SshNet.SshClient.0.0.1",
       "PUTTY", "Twisted_22.10.0", "Granados-1.0", "1.0 phpseclib", "Erlang/5.1.4", "russh_0.43.0",
       "Cisco-1.25", "sshlib-1.7.0", "nmap-nse",
       "ZGrab ZGrab SSH Survey", "mod_sftp", "Bitvise"]


def ssh(put, choose):
    for number, banner in enumerate(SSH):
        octets = f"SSH-{'1.99' if number == 27 else '2.0'}-{banner}".encode() + (b"\n" if number % 5 == 4 else b"\r\n")
        if number % 3 == 0:
            names = b"curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256"
            payload = b"\x14" + choose.randbytes(16) + struct.pack(">I", len(names)) + names
            octets += struct.pack(">IB", len(payload) + 5, 4) + payload + bytes(4)
        put("ssh", octets)


PROBES = [  # other protocols' openings
    b"EHLO mail.dyn.example\r\n", b"HELO pc\r\n", b"MAIL FROM:<a@mail.example>\r\n",
          b"NICK ali\r\nUSER ali 0 * :Ali\r\n", b"CAP LS 302\r\nNICK bot\r\n",
    b"PASS x\r\nNICK [DZ|XP]91\r\nUSER a a a a\r\n", b"USER anonymous\r\n", b"a001 CAPABILITY\r\n",
          b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9\r\n\r\n",
    b"REGISTER sip:voip.example SIP/2.0\r\nFrom: <sip:1@voip.example>\r\n\r\n",
          b"INVITE sip:a@voip.example SIP/2.0\r\n\r\n",
    b"\x10\x1a\x00\x04MQTT\x04\x02\x00\x3c\x00\x0esensor-kitchen", b"*1\r\n$4\r\nPING\r\n",
          b"*2\r\n$4\r\nAUTH\r\n$3\r\nabc\r\n", b"stats\r\n",
    b"RFB 003.008\n", b"\x05\x01\x00", b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00",
          b"CNXN\x00\x00\x00\x01\x00\x00\x10\x00",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"\x13BitTorrent protocol" + bytes(48),
          b"l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"<?xml version='1.0'?><stream:stream to='jabber.example' xmlns='jabber:client'>",
          b"GIOP\x01\x02\x01\x00" + bytes(8), b"AMQP\x00\x00\x09\x01",
    b"DESCRIBE rtsp://192.0.2.2/live RTSP/1.0\r\nCSeq: 2\r\n\r\n", b"help\n", b"quit\r\n"]

OTHERS = [  # of no protocol that one knows, or text
    b"hello\r\n", b"\r\n\r\n", b"\0" * 64, b"A" * 300, b"12\x00hello, world", b"5\x00hello", b"145\x00",
          b"007\x00act",
    b"3:foo,", b"12:hello world!,", b"lv|", b"lv", b"ll", b"lv|en|2014-06-30|12|ok\n", b"ll|a|b|c|d\n",
          b"inf|1\n", b"act|2|3\n", b"P\n", b"P",
    b"lv,name,host,user,os\nlv,1,2,3,4\n",
          b"id|host|user|date|os|cam|ver\n7|pc1|ali|2014-06-30|Win 7|No|0.7d\n", b"level|'|'|high\n",
    b'{"cmd":"ll","id":"SGFjS2VkX0Q0OTkwNjI3","pc":"WIN-1","sep":"|\'|\'|"}', b'[1,2,"|\'|\'|","[endof]"]',
          b"[endof]", b"the end [endof]",
    b"2014-06-30 12:00:01|INFO|svc|started|pid=12\n",
          b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for ali on /dev/pts/8\n",
    b"192.0.2.1 - - [30/Jun/2014:12:00:01 +0000] \"GET / HTTP/1.1\" 200 12 \"-\" \"a|'|'|b\"\n",
          b"MSH|^~\\&|LAB|HOSP|||20140630||ORU^R01|1|P|2.3\r",
    b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n", b"##,imei:359586015829802,A;",
          b"imei:359586015829802,tracker,1407010001,,F;",
    b"(027042760512BP05355227042760512140630A2234.0297N)", b"\xfe\x01",
          b"\x10\x00\xf7\x05\x09localhost\x63\xdd\x01", b"\xff\xff\xff\xffTSource Engine Query\x00",
    b"\xff\xff\xff\xffgetstatus\n", b"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\xfe\xfe\xfe\xfe",
          b"~SAMP\xc0\x00\x02\x01\x61\x1ei",
    b"status|'|'|ok", b"ac", b"ac0", b"lv0", b"lv0njx", b"lv0 user 12 ok\r\n", b"MSG hello\r\n",
          b"MSG|a|b\r\n", b"pas\r\n", b"CAP|LS\r\n", b"name,0njxq80,x\r\n",
    b"20\x00" + b"\x89PNG\r\n\x1a\n" + bytes(12), b"100\x00" + bytes(range(100)),
          b"44\x00{\"type\":\"login\",\"user\":\"ali\",\"token\":\"abc\"}\n", b"9\x00a|b|c|d|e",
    b"ER|1|2", b"CH|general|ali|hi all\r\n", b"rs|ok", b"kl|0", b"pl|1|2|3"]


def write(put, choose):
    assert isinstance(choose, random.Random)
    browsers(put, choose)
    tools(put, choose)
    services(put, choose)
    tls(put, choose)
    ssh(put, choose)
    for octets in PROBES:
        put("probe", octets)
    for octets in OTHERS:
        put("unknown", octets)
    for name, kind in (("home.dyn.example", 1), ("mail.example", 15), ("example", 255),
                       ("_dmarc.mail.example", 16), ("version.bind", 16)):
        query = choose.randbytes(2) + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
        query += b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack(">HH", kind, 3 if "bind" in name else 1)
        put("dns", struct.pack(">H", len(query)) + query)
    for cookie in (b"Cookie: mstshash=admin\r\n", b"Cookie: mstshash=Administr\r\n", b""):
        body = b"\xe0\x00\x00\x00\x00\x00" + cookie + b"\x01\x00\x08\x00\x03\x00\x00\x00"
        put("rdp", struct.pack(">BBHB", 3, 0, len(body) + 5, len(body)) + body)
    for dialects in (b"\x02NT LM 0.12\x00",
                     b"\x02PC NETWORK PROGRAM 1.0\x00\x02LANMAN1.0\x00\x02NT LM 0.12\x00\x02SMB 2.002\x00\x02SMB 2.???\x00"):
        body = b"\xffSMB\x72\x00\x00\x00\x00\x18\x53\xc8" + bytes(20) + b"\x00" + struct.pack("<H",
                                                                                              len(dialects)) + dialects
        put("smb", struct.pack(">I", len(body)) + body)
    put("smb", struct.pack(">I",
                           108) + b"\xfeSMB\x40\x00" + bytes(58) + b"\x24\x00\x02\x00\x01\x00" + bytes(38))
