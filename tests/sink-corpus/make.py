#!/usr/bin/python3
"""Makes the corpus of first packets: one file a packet, in a folder named after what it is.

Every packet is made from the published formats that the parsers in src/sink name at their heads; the
machines and people in them are invented. Run it after a change, and commit what it writes:

    tests/sink-corpus/make.py
"""
import base64
import itertools
import random
import shutil
import struct
from pathlib import Path

HERE = Path(__file__).parent
RANDOM = random.Random(2014)

HOSTS = ["DESKTOP-4KQ2M1V", "WIN-7PC", "OFFICE02", "LAPTOP-9TR31", "ADMIN-PC", "PC", "HOME-PC", "مكتب-1", "KASSE_3",
         "БУХ-ПК", "SRV01", "PC-DE-MARIE", "user-HP"]
USERS = ["owner", "Admin", "Jean Example", "anna", "مستخدم", "Пользователь", "user 1", "o'neil", "test.user", "PC"]
SYSTEMS = ["Win 7 Professional SP1 x64", "Win 7 Ultimate SP1 x86", "Win XP ProfessionalSP3 x86", "Win 8.1 ProSP0 x64",
           "Win 10 Pro SP0 x64", "Win 10 Enterprise SP0 x64", "Win 11 Pro SP0 x64", "Win Vista Home BasicSP2 x86",
           "Win 7 Профессиональная SP1 x64", "Win 7 Édition Intégrale SP1 x86", "Win Server 2008 R2 StandardSP1 x64",
           "Win 10 Home Single LanguageSP0 x64", "Win 7 Home Premium SP1 x86", "Win Server 2016 Standard SP0 x64"]
SEPARATORS = ["|'|'|", "'|'|'|", "|Hassan|", "Y262SUCZ4UJJ", "@!#&^%$", "boolLove", "|-F-|", "|Ghost|", "[VdTeam]",
              "|NYAN|", "|Kiler|", "|", "<->", "#$#", "|U|", "xXx", "سر", "*--*", "{|}", "~~"]
VERSIONS = ["0.7d", "0.7.1", "im523", "0.6.4", "0.5.0E", "0.4.1a", "Green Edition", "0.7d Golden", "Lime", "Platinum",
            "Danger Edition", "0.11G", "0.7NC", "0.7d Golden, modified", "S17"]
CAMPAIGNS = ["HacKed", "Victim", "عميل", "Жертва", "test 1", "NEW", "Google Chrome", "x", "a_b", "FUD-2016"]


def code(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def serial():
    return "%X" % RANDOM.randrange(1 << 12, 1 << 32)


def frame(text):
    octets = text if isinstance(text, bytes) else text.encode()
    return b"%d\0" % len(octets) + octets


def date(index):
    year, month, day = 12 + index % 14, 1 + index % 12, 1 + index * 7 % 28
    return "%02d-%02d-%02d" % (year, month, day)


def njrat_checkin(index, separator, version, command="ll", window=None, country="", when=None, mods=()):
    fields = [command, code(RANDOM.choice(CAMPAIGNS) + "_" + serial()), HOSTS[index % len(HOSTS)],
              USERS[index % len(USERS)], when or date(index), country, SYSTEMS[index % len(SYSTEMS)],
              RANDOM.choice(["No", "Yes"]), version, *mods, "..",
              code((window if window is not None else "Program Manager") + "\0"), ""]
    return separator.join(fields)


def njrat():
    index = itertools.count()
    for separator in SEPARATORS:
        for version in VERSIONS[:5]:
            n = next(index)
            yield f"{n:03}-{version}", frame(njrat_checkin(n, separator, version))
    for version in VERSIONS:
        n = next(index)
        separator = SEPARATORS[n % len(SEPARATORS)]
        whole = njrat_checkin(n, separator, version)
        told = code("HacKed\r\n192.0.2.7:5552\r\nTEMP\r\nserver.exe\r\nTrue\r\nFalse")
        yield f"{n:03}-with-inf-act", (frame(whole) + frame("inf" + separator + told) +
                                       frame("act" + separator + code("Inbox\0")))
        n = next(index)
        yield f"{n:03}-with-keep-alive", frame("") + frame(njrat_checkin(n, separator, version))
    for version in ("0.3.5", "0.3.6", "0.4.1a", "0.5.0E", "0.6.4"):
        for end in ("[endof]", ""):
            for separator in ("|'|'|", "'|'|'|", "@!#&^%$"):
                n = next(index)
                when = "20" + date(n)
                yield f"{n:03}-{version}-no-length", (njrat_checkin(
                    n, separator, version, "lv", "Run", ("USA", "EGY", "")[n % 3], when) + end).encode()
    for command in ("llv", "lvv", "lv"):
        for separator in ("|'|'|", "|Ghost|"):
            n = next(index)
            yield f"{n:03}-{command}", frame(njrat_checkin(n, separator, "0.7d", command))
    for n, when in enumerate(("35-04-12", "1436-04-12", "58-11-02", "??-??-??", "1398/05/03", "15.03.2016")):
        yield f"date-{n}", frame(njrat_checkin(n, "|'|'|", "0.7d", when=when))
    for n in range(4):
        yield f"antivirus-{n}", frame(njrat_checkin(n, "|'|'|", "0.7d", mods=("Windows Defender", "0", "USB")[:n]))
    fields = njrat_checkin(3, "|'|'|", "0.7d").split("|'|'|")
    fields[0], fields[2], fields[3] = "li", code("OFFICE02"), code("anna")
    yield "li-names-coded", frame("|'|'|".join(fields))
    plain = njrat_checkin(5, "|'|'|", "0.4.1a", "lv").split("|'|'|")
    plain[1] = "HacKed_1A2B3C4D"
    yield "id-plain", "|'|'|".join(plain).encode() + b"[endof]"
    message = frame(njrat_checkin(6, "|'|'|", "0.7d"))
    for cut in (60, 80, 100, 120, len(message) - 1):
        yield f"cut-{cut}", message[:cut]
    body = njrat_checkin(7, "|'|'|", "0.7d").encode()
    yield "length-too-short", b"%d\0" % (len(body) - 9) + body
    yield "length-too-long", b"999\0" + body
    yield "as-logged", b"%d." % len(body) + body
    yield "as-escaped", b"%d\\x00" % len(body) + body
    yield "ansi", frame(njrat_checkin(1, "|'|'|", "0.7d").replace("WIN-7PC", "ПК-1").encode("cp1251", "replace"))
    yield "long-window", frame(njrat_checkin(2, "|'|'|", "0.7d", window="x" * 400))
    yield "jnapier", frame("|'|'|".join(["ll", code("HacKed_D4990627"), "WIN-JNAPIER0859", "JNapier", "19-02-01", "",
                                         "Win 7 Professional SP1 x64", "No", "0.7d", "..", "AA==", ""]))


def njrat_beacons():
    for number, separator in enumerate(SEPARATORS[:12]):
        yield f"act-{number}", frame("act" + separator + code("Mail - reading\0"))
        yield f"inf-{number}", frame("inf" + separator + code("HacKed\r\n192.0.2.7:1177\r\nTEMP\r\nx.exe"))
    yield "keep-alive", b"0\0"
    yield "keep-alives", b"0\0" * 3
    yield "plg", b"3\0PLG"
    yield "ping", frame("P")
    yield "ping-endof", b"P[endof]"
    yield "act-endof", ("act|'|'|" + code("Run") + "[endof]").encode()
    yield "kl", frame("kl|'|'|" + code("[ENTER] hello"))
    yield "cap", frame(b"CAP|'|'|\xff\xd8\xff\xe0\0\x10JFIF" + bytes(200))
    yield "proc", frame("proc|'|'|~|'|'|explorer.exe")
    yield "ret", frame("ret|'|'|0|'|'|" + code("none"))
    yield "pl", frame("pl|'|'|2681e81bb4c4b3e6338ce2a456fb93a7|'|'|0")
    yield "ll-begun", b"155\0ll|'|'|SGFjS2V"


def njw0rm():
    systems = ["WIN_7 X64 SP1", "WIN_XP X86 SP3", "WIN_8 X64 SP0", "WIN_81 X64 SP0", "WIN_10 X64 SP0", "WIN_VISTA X86 SP2",
               "WIN_2008R2 X64 SP1"]
    index = 0
    for separator in ("0njxq80", "|'|'|", "0njxq80", "#!#"):
        for version in ("0.3.3a", "0.4a", "3.5"):
            for system in systems[:5]:
                fields = ["lv", RANDOM.choice(CAMPAIGNS) + "_" + serial(), ("US", "EG", "", "DZ")[index % 4], system,
                          version, "YN!"[index % 3], "Program Manager"]
                yield f"{index:03}", separator.join(fields).encode() + b"\r\n"
                index += 1
    for system in systems:
        fields = ["Lv", "worm_" + serial(), HOSTS[index % 5], USERS[index % 4], " ", system, "0.4a", "N",
                  "C:\\WINDOWS\\system32\\cmd.exe"]
        yield f"{index:03}-names", "0njxq80".join(fields).encode() + b"\r\n"
        index += 1
    yield "cut", b"lv0njxq80worm_1A2B3C4D0njxq80US0njxq80WIN_7 X6"
    yield "no-line-end", b"lv0njxq80worm_1A2B3C4D0njxq80US0njxq80WIN_7 X64 SP10njxq800.4a0njxq80N0njxq80Run"


def njw0rm_beacons():
    yield "ac", b"ac0njxq80Program Manager\r\n"
    yield "msg", b"MSG0njxq80Executed As x.exe\r\n"
    yield "pwd", b"PWD0njxq80URL: none0njxq80\r\n"


def post(path, agent, extra=b"", body=b"", method=b"POST", name=b"User-Agent"):
    value = agent if isinstance(agent, bytes) else agent.encode()
    return (method + b" " + path + b" HTTP/1.1\r\nAccept: */*\r\nAccept-Language: en-us\r\n" + name + b": " + value +
            b"\r\nAccept-Encoding: gzip, deflate\r\nHost: worm.example:8885\r\nContent-Length: " +
            str(len(body)).encode() + b"\r\nConnection: Keep-Alive\r\nCache-Control: no-cache\r\n" + extra + b"\r\n" +
            body)


CAPTIONS = ["Microsoft Windows 7 Professional ", "Microsoft Windows 10 Pro", "Microsoft Windows XP Professional",
            "Microsoft Windows 8.1 Single Language", "Microsoft Windows 7 Édition Familiale Premium ",
            "Microsoft Windows 10 Домашняя", "Microsoft Windows 11 Home", "Microsoft® Windows Vista™ Home Basic"]


def hworm():
    index = 0
    for version in ("plus", "underworld final", "+", "0.1", "houdini 2.0"):
        for flag in ("false - 20/9/2019", "true", "false", "true - 3/27/2014", "", "false - 2016-01-02"):
            agent = "<|>".join(["%08X" % RANDOM.randrange(1 << 32), HOSTS[index % len(HOSTS)], USERS[index % len(USERS)],
                                CAPTIONS[index % len(CAPTIONS)], version,
                                ("nan-av", "Windows Defender .", "undefined")[index % 3], flag])
            yield f"{index:03}-{version.split()[0]}", post(b"/is-ready", agent)
            index += 1
    for tail in ("JavaScript-v1.2", "Visual Basic-v2.0|US:United States", "JavaScript-v3.4|DE:Germany",
                 "Visual Basic-v1.6|GB:Provider", "JavaScript"):
        for separator in ("|", "<|>"):
            agent = separator.join(["WSHRAT", "0A87-85F9" if index % 2 else serial().rjust(8, "0"), HOSTS[index % 5],
                                    USERS[index % 4], CAPTIONS[index % 7], "plus", "nan-av", "false - 27/3/120"] +
                                   tail.split("|"))
            yield f"{index:03}-wshrat", post(b"/is-ready", agent)
            index += 1
    for dotnet in ("YES", "NO"):
        for usb in ("TRUE", "FALSE"):
            for path in (b"/Vre", b"/vre"):
                agent = "\\".join([f"new_{serial()}", HOSTS[index % 8], USERS[index % 4], CAPTIONS[index % 7],
                                   "Windows Defender", "", dotnet, usb, ""])
                yield f"{index:03}-vjw0rm", post(path, agent)
                index += 1
    for usb in ("Yes", "No", "~"):
        worm = f"KJw0rm_{serial()}"
        agent = "\\".join([worm, HOSTS[index % 5], USERS[index % 4], "Win7 Ultimate SP1 x32", "20", "", "0.5X",
                           "Yesv4.0", usb, worm])
        yield f"{index:03}-kjw0rm", post(b"/ready", agent)
        index += 1
    for separator in ("<->", "|*|", "#|#", "<+>"):
        agent = separator.join(["1A2B3C4D", "OFFICE02", "anna", "Microsoft Windows 7 Ultimate", "plus", "nan-av", "true"])
        yield f"{index:03}-separator", post(b"/is-ready", agent)
        index += 1
    agent = "<|>".join(["J-Worm", "1A2B3C4D", "OFFICE02", "anna", "Microsoft Windows 10 Pro", "4.2 PLUS", "nan-av",
                        "true", "Virus C&C", "20"])
    yield "j-worm", post(b"/is-ready", agent)
    agent = "1A2B3C4D<|>OFFICE02<|>anna<|>Microsoft Windows 7 Ultimate <|>plus<|>nan-av<|>false - 20/9/2019"
    yield "second-colon", post(b"/is-ready", agent, name=b"User-Agent:")
    yield "lower-case-name", post(b"/is-ready", agent, name=b"user-agent")
    yield "other-path", post(b"/", agent)
    yield "lower-case-method", post(b"/is-ready", agent, method=b"post")
    yield "http-1.0", post(b"/is-ready", agent).replace(b"HTTP/1.1", b"HTTP/1.0")
    yield "cut", post(b"/is-ready", agent)[:210]


def hworm_beacons():
    agent = "1A2B3C4D<|>OFFICE02<|>anna<|>Microsoft Windows 7 Ultimate <|>plus<|>nan-av<|>false - 20/9/2019"
    for path in ("is-sending<|>x.exe", "is-recving<|>C:\\x.txt", "is-enum-driver", "is-enum-faf", "is-enum-process",
                 "is-cmd-shell", "is-logs", "is-processes", "is-bk-x", "update-status%3C|%3ESDK+Installed"):
        yield path.split("<")[0].split("%")[0], post(b"/" + path.encode(), agent, body=b"C:\\<|>")
    yield "sending-no-agent", b"POST /is-sending<|>C:\\a.exe HTTP/1.1\r\nHost: worm.example\r\nContent-Length: 0\r\n\r\n"
    yield "sending-escaped", b"POST /is-sending%3C|%3Ea.exe HTTP/1.1\r\nHost: worm.example\r\nContent-Length: 0\r\n\r\n"


BROWSERS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; SLCC2; .NET CLR 2.0.50727)",
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "curl/8.5.0", "Wget/1.21.4", "python-requests/2.32.3", "Go-http-client/1.1", "okhttp/4.12.0",
    "PostmanRuntime/7.39.0", "Apache-HttpClient/4.5.14 (Java/17.0.11)", "Microsoft-CryptoAPI/10.0",
    "Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.50", "Steam/3.0 (Windows)", "AppName|1.2|Windows 10|x64",
    "deadbeef|build|Windows 10|ci|agent", "DEADBEEF\\host\\user\\Windows\\agent\\1.0",
    "Dalvik/2.1.0 (Linux; U; Android 13; SM-A536B)", "VLC/3.0.20 LibVLC/3.0.20",
]
PATHS = ["/", "/index.html", "/favicon.ico", "/robots.txt", "/is-ready", "/api/v1/items?page=2&sort=a|b",
         "/search?q=<|>", "/ready", "/health", "/a/b/c.js?v=1.2.3", "/is-it-down", "/img/logo%20small.png"]


def get(path, agent, method="GET", host="www.example", extra="", version="1.1"):
    return (f"{method} {path} HTTP/{version}\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n{extra}\r\n").encode()


def http():
    for number, (agent, path) in enumerate(itertools.product(BROWSERS, PATHS[:6])):
        yield f"get-{number:03}", get(path, agent)
    for number, path in enumerate(PATHS):
        yield f"path-{number}", get(path, BROWSERS[number])
    token = code(bytes(RANDOM.randrange(256) for _ in range(300)))
    bodies = {"json-lv": '{"lv":"|\'|\'|","ll":1}', "base64": token, "form": "ll=1&lv=" + token, "njrat-within":
              "149\0ll|'|'|" + code("HacKed_1A2B3C4D") + "|'|'|PC", "separators": "a<|>b<|>c|d|'|'|e"}
    for name, body in bodies.items():
        for path in ("/upload", "/is-ready", "/is-logs"):
            yield f"post-{name}{path.replace('/', '-')}", get(
                path, BROWSERS[len(name) % 5], "POST",
                extra=f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n") + body.encode()
    yield "websocket", get("/chat", BROWSERS[0], extra="Upgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
    yield "no-agent", b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"
    yield "no-host", b"GET / HTTP/1.0\r\n\r\n"
    yield "old", b"GET /\r\n"
    yield "begun", b"GET /index.html HTTP/1.1\r\nHost: www.exam"
    yield "http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    yield "options", get("*", BROWSERS[5], "OPTIONS")
    yield "post-ready-plain", get("/is-ready", "curl/8.5.0", "POST", extra="Content-Length: 0\r\n")
    yield "post-vre-plain", get("/Vre", BROWSERS[0], "POST", extra="Content-Length: 0\r\n")
    yield "get-ready-pipes", get("/is-ready", "probe|1.0|linux")
    yield "cookie-pipes", get("/", BROWSERS[1], extra="Cookie: a=1<|>2<|>3<|>4<|>5<|>6; id=C4BA3647<|>USER-PC\r\n")


def http_scan():
    for number, agent in enumerate(("Mozilla/5.0 zgrab/0.x", "masscan/1.3", "Mozilla/5.0 (compatible; Nmap Scripting Engine)",
                                    "Mozilla/5.0 (compatible; CensysInspect/1.1)", "Hello, World",
                                    "Expanse, a Palo Alto Networks company, searches", "Nuclei - Open-source project")):
        yield f"agent-{number}", get("/", agent)
    for number, path in enumerate(("/.env", "/.git/config", "/wp-login.php", "/cgi-bin/luci", "/boaform/admin/formLogin",
                                   "/shell?cd+/tmp", "/manager/html", "/actuator/health", "/HNAP1/",
                                   "/?x=${jndi:ldap://192.0.2.1/a}", "/a/../../etc/passwd")):
        yield f"path-{number}", get(path, BROWSERS[0])
    yield "connect", b"CONNECT www.example:443 HTTP/1.1\r\nHost: www.example:443\r\n\r\n"
    yield "proxy", get("http://www.example/", BROWSERS[0])


def crawlers():
    for name in ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                 "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
                 "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
                 "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.1)"):
        yield name.split("compatible; ")[1].split("/")[0], get("/robots.txt", name)


def monitors():
    for name in ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
                 "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", "kube-probe/1.29", "ELB-HealthChecker/2.0"):
        yield name.split("/")[0].split("_")[0].replace("+(compatible; ", "-"), get("/is-ready", name)


def hello(version, extensions=b""):
    body = version + bytes(32) + b"\0" + b"\0\4\x13\x01\xc0\x2f" + b"\1\0" + struct.pack(">H", len(extensions)) + extensions
    handshake = b"\1" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\3\1" + struct.pack(">H", len(handshake)) + handshake


def tls():
    for minor in range(4):
        yield f"hello-3.{minor}", hello(b"\3" + bytes([minor]))
    name = b"www.example"
    entry = b"\0" + struct.pack(">H", len(name)) + name
    sni = struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry
    yield "sni", hello(b"\3\3", sni)
    yield "begun", hello(b"\3\3", sni)[:20]
    yield "ssl2", b"\x80\x2e\1\0\2\0\x15\0\0\0\x10" + bytes(37)


def ssh():
    for name in ("OpenSSH_9.6", "libssh2_1.11.0", "Go", "PUTTY", "paramiko_3.4.0", "libssh_0.10.6", "JSCH-0.1.54", "Nmap-SSH2-Hostkey"):
        yield name, b"SSH-2.0-" + name.encode() + b"\r\n"


def smb():
    yield "smb1", b"\0\0\0\x2f\xffSMB\x72" + bytes(27) + b"\0\x0c\0\2NT LM 0.12\0"
    yield "smb2", b"\0\0\0\x6c\xfeSMB\x40" + bytes(103)


def rdp():
    cookie = b"Cookie: mstshash=hello\r\n"
    yield "mstshash", b"\3\0" + struct.pack(">H", 11 + len(cookie)) + bytes([6 + len(cookie), 0xe0]) + bytes(5) + cookie
    yield "negotiate", b"\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0"


def dns():
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1"
    yield "udp", query
    yield "tcp", struct.pack(">H", len(query)) + query
    yield "edns", b"\x12\x34\1\0\0\1\0\0\0\0\0\1\3www\7example\0\0\1\0\1\0\0\x29\4\xd0\0\0\0\0\0\0"
    yield "version-bind", b"\0\6\1\0\0\1\0\0\0\0\0\0\7version\4bind\0\0\x10\0\3"


def probes():
    yield "sip", b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2\r\n\r\n"
    yield "rtsp", b"OPTIONS rtsp://192.0.2.1/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    yield "ssdp", b"M-SEARCH * HTTP/1.1\r\nHost:239.255.255.250:1900\r\nMan:\"ssdp:discover\"\r\n\r\n"
    yield "redis", b"*1\r\n$4\r\nINFO\r\n"
    yield "redis-line", b"INFO\r\n"
    yield "mssql", b"\x12\1\0\x2f\0\0\1\0" + bytes(39)
    yield "vnc", b"RFB 003.008\n"
    yield "mqtt", b"\x10\x17\0\4MQTT\4\2\0\x3c\0\x0bprobe-12345"
    yield "ldap", b"\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0"
    yield "telnet", b"\xff\xfd\1\xff\xfd\3"
    yield "jrmi", b"JRMI\0\2K"
    yield "adb", b"CNXN\0\0\0\1\0\0\4\0\x1b\0\0\0" + bytes(8) + b"host::\0"
    yield "modbus", b"\0\0\0\0\0\5\0\x2b\x0e\1\0"
    yield "postgresql", b"\0\0\0\x08\4\xd2\x16\x2f"
    yield "mongodb", b"\x3f\0\0\0\x7e\0\0\0\0\0\0\0\xd4\7\0\0" + bytes(20)
    yield "smtp", b"EHLO scanner.example\r\n"
    yield "socks5", b"\5\1\0"
    yield "ntp", b"\x1b" + bytes(47)
    yield "stun", b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)
    yield "magellan", b"MGLNDD_192.0.2.1_443\n"
    yield "snmp", b"\x30\x29\2\1\1\4\6public\xa0\x1c" + bytes(30)


def unknown():
    texts = {"digits-nul": b"123\0abcdef", "digits-nul-long": b"15\0hello there, you", "lv-text": b"lv is a command here",
             "ll-text": b"ll -la /tmp", "lv-fields": b"lv|a|b|c|d|e|f|g|h", "json-lv": b'{"lv":"|\'|\'|"}', "zeros": bytes(64),
             "zero-nul-text": b"0\0not a keep-alive", "length-alone": b"149\0", "line-ends": b"\r\n\r\n",
             "pipes": b"|'|'|'|'|'|", "endof": b"some words[endof]", "endof-get": b"getting on [endof]",
             "base64": code(bytes(range(100))).encode(), "post-nul": b"10\0PostgreSQL", "lv-serial": b"ll a_1 b c d e f g h",
             "act": b"act natural", "inf": b"infinity|'|", "random": bytes(RANDOM.randrange(256) for _ in range(200)),
             "separator-only": b"ll|'|'|", "njxq": b"0njxq80", "ac": b"ac\r\n", "number-words": b"7\0process",
             "csv": b"1,2,3\0ll,a,b", "lvm": b"lvdisplay --units b\r\n"}
    yield from texts.items()


FOLDERS = {"njrat": njrat, "njrat-beacon": njrat_beacons, "njw0rm": njw0rm, "njw0rm-beacon": njw0rm_beacons,
           "hworm": hworm, "hworm-beacon": hworm_beacons, "http": http, "http-scan": http_scan, "crawler": crawlers,
           "monitor": monitors, "tls": tls, "ssh": ssh, "smb": smb, "rdp": rdp, "dns": dns, "probe": probes,
           "unknown": unknown}


def main():
    for folder, packets in FOLDERS.items():
        path = HERE / folder
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        for name, octets in packets():
            file = path / name.replace(" ", "-").replace("/", "-")
            assert not file.exists(), file
            file.write_bytes(octets)
        print(f"{folder:15} {len(list(path.iterdir()))}")


main()
