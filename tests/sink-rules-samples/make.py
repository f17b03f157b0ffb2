#!/usr/bin/python3
"""Makes the first packets that rules/ is tested against: one file a packet, in a folder named after what
it is (tamis-sink-check-rules(1)). Every packet is made from the format that the rule's `source` names;
the machines in them are invented. In none/ lies what is near to a family's packet and isn't one.

    tests/sink-rules-samples/make.py
"""
import gzip
import random
import shutil
import struct
import zlib
from pathlib import Path

HERE = Path(__file__).parent
RANDOM = random.Random(2014)


def noise(size):
    return RANDOM.randbytes(size)


def rc4(key, octets):
    state, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for octet in octets:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(octet ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def gh0st(tag=b"Gh0st", plain=b"f\0\0\0OFFICE02" + bytes(180), wrong=0):
    stream = zlib.compress(plain)
    return tag + struct.pack("<II", 13 + len(stream) + wrong, len(plain)) + stream


def darkcomet(version, message):
    return rc4(b"#KCMDDC%s#-890" % version, message).hex().upper().encode()


def asyncrat(wrong=0):
    stream = gzip.compress(b"\x86\xa6Packet\xaaClientInfo\xa4User\xa5owner" * 3, mtime=0)
    stream = stream[:8] + b"\x04\0" + stream[10:]
    return struct.pack("<II", len(stream) + 4 + wrong, 90) + stream


def http(first, **fields):
    lines = [first] + ["%s: %s" % (name.replace("_", "-"), value) for name, value in fields.items()]
    return "\r\n".join(lines + ["", ""]).encode()


IE = "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; Trident/4.0)"
CHARON = "Mozilla/4.08 (Charon; Inferno)"


def mirai(name=b"", pings=0):
    return b"\0\0\0\1" + bytes([len(name)]) + name + bytes(2 * pings)


def ramnit():
    return b"\0\xff" + struct.pack("<I", 75) + b"\xe2" + b"".join(b"\0" + struct.pack("<I", 32) + noise(32)
                                                                 for _ in range(2))


def remcos(wrong=0):
    body = struct.pack("<I", 0x4B) + "|\x1e\x1e\x1f|".join(["RemoteHost", "OFFICE02/owner", "CH", "Windows 10"]).encode()
    return b"\x24\x04\xff\0" + struct.pack("<I", len(body) + wrong) + body


def nanocore(size, given=None):
    first = bytes.fromhex("17f54b2cc365ca9f")
    return struct.pack("<I", size if given is None else given) + first + noise(size - len(first))


def samples():
    yield "gh0st/plain", gh0st()
    yield "gh0st/child", gh0st(b"Hx*7q")
    yield "gh0st/two-packets", gh0st() + gh0st(plain=b"g" + bytes(40))
    yield "none/gh0st-length", gh0st(wrong=1)
    yield "none/gh0st-no-zlib", gh0st().replace(b"\x78\x9c", b"\x78\xff")
    login = zlib.decompressobj().decompress(bytes.fromhex("789c4b53606098c3c0c0c006c48c40bc5196"))
    yield "probe/gh0st-scanner", (b"Gh0st" + struct.pack("<II", 173, 224) + bytes.fromhex(
        "789c4b53606098c3c0c0c006c48c40bc5196") + noise(173 - 13 - 18))
    assert login.startswith(b"f")
    for version in (b"2", b"4", b"42", b"42F", b"5", b"51"):
        yield "darkcomet-beacon/" + version.decode() + "-server", darkcomet(version, b"SERVER")
        yield "darkcomet-beacon/" + version.decode() + "-keepalive", darkcomet(version, b"KEEPALIVE1234567|")
    yield "darkcomet-beacon/plain", b"KEEPALIVE1234567"
    yield "none/darkcomet-password", darkcomet(b"51secret", b"KEEPALIVE1234567")
    yield "none/darkcomet-lower-case", darkcomet(b"51", b"SERVER").lower()
    yield "asyncrat/within.tls", asyncrat()
    yield "none/asyncrat-length.tls", asyncrat(wrong=2)
    yield "none/gzip", gzip.compress(b"plain", mtime=0)
    yield "conficker-beacon/b", http("GET /search?q=113 HTTP/1.0", User_Agent=IE, Host="192.0.2.66")
    yield "conficker-beacon/a", http("GET /search?q=0&aq=7 HTTP/1.1", User_Agent=IE, Host="192.0.2.66")
    yield "none/search-by-name", http("GET /search?q=113 HTTP/1.1", User_Agent=IE, Host="search.example")
    yield "none/search-by-browser", http("GET /search?q=113 HTTP/1.1", Host="192.0.2.66", User_Agent=IE,
                                         Accept_Language="de-CH")
    yield "none/search-words", http("GET /search?q=dns HTTP/1.1", Host="192.0.2.66", User_Agent=IE)
    yield "lokibot/stolen", http("POST /panel/five/fre.php HTTP/1.0", User_Agent=CHARON, Host="panel.example",
                                 Content_Type="application/octet-stream", Content_Encoding="binary",
                                 Content_Key="8DAA705A", Content_Length=8) + b"\x12\0\x27\0\0\0\x07\0"
    yield "none/charon-alone", http("GET / HTTP/1.0", User_Agent=CHARON, Host="panel.example")
    yield "luminosity/connect", b"CONNECT8_=_8OFFICE028_=_8owner8_=_8Windows 78_=_8N/A=P4CK3T="
    yield "none/luminosity-begun", b"CONNECT8_=_8OFFICE028_=_8owner"
    yield "mirai/nameless", mirai()
    yield "mirai/pings", mirai(pings=3)
    yield "mirai/named", mirai(b"telnet.mips")
    yield "mirai/named-pings", mirai(b"telnet.x86", 2)
    yield "none/mirai-length", b"\0\0\0\1\x09arm"
    yield "none/mirai-more", mirai(b"arm") + b"\0\1"
    yield "nanocore/56", nanocore(56)
    yield "nanocore/64", nanocore(64)
    yield "none/nanocore-length", nanocore(64, 72)
    yield "none/nanocore-block", nanocore(60)
    yield "netwire/seed", struct.pack("<IB", 65, 3) + noise(64)
    yield "none/netwire-zeros", struct.pack("<IB", 65, 3) + bytes(64)
    yield "ramnit/who", ramnit()
    yield "none/ramnit-cut", ramnit()[:-1]
    yield "remcos/3", remcos()
    yield "remcos/1-plain", b"[DataStart]" + struct.pack("<I", 40) + noise(40)
    yield "remcos/2-rc4", rc4(b"pass", b"[DataStart]" + noise(40))
    yield "none/remcos-length", remcos(wrong=4)
    yield "sality-beacon/kuku", http("GET /mainf.gif?154e26=34911020 HTTP/1.1", User_Agent=IE + " KUKU v5.06exp",
                                     Host="a.example")
    yield "sality-beacon/opera", http("GET /logo.gif?3e2a1f=8147870 HTTP/1.1",
                                      User_Agent="Opera/8.89 (Windows NT 6.0; U; en)", Host="a.example")
    yield "none/gif-of-opera", http("GET /logo.gif?3e2a1f=8147870 HTTP/1.1",
                                    User_Agent="Opera/9.80 (Windows NT 6.0; U; en)", Host="a.example")
    yield "xtremerat/version", b"myversion|3.6 Public\r\n"
    yield "xtremerat/functions", http("GET /1234567890.functions HTTP/1.1", Accept="*/*", User_Agent=IE, Host="a.example:81")
    yield "none/functions-js", http("GET /1234567890.functions.js HTTP/1.1", User_Agent=IE, Host="a.example")
    yield "zeroaccess-beacon/getL.udp", noise(4) + bytes.fromhex("28948dabc9c0d199")[:8] + noise(4)
    yield "none/zeroaccess-over-tcp", noise(4) + bytes.fromhex("28948dabc9c0d199") + noise(4)
    yield "none/ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
    yield "none/noise", noise(1024)
    yield "none/zeros", bytes(256)


def main():
    for folder in HERE.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            shutil.rmtree(folder)
    for name, octets in samples():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(octets)


if __name__ == "__main__":
    main()
