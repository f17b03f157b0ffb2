"""Zones of many hosts, each with an address that tells its number."""


def address(number):
    """One of the 65,536 addresses that big zones use (198.18.0.0/15 is for measuring, RFC 2544)."""
    return "198.18.%d.%d" % (number >> 8 & 255, number & 255)


def write_zone(path, name, hosts, serial=1, soa="3600 600 1209600 60"):
    """A zone with the hosts h0, h1, ... of these numbers, each with one address."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("$ORIGIN %s.\n$TTL 300\n@ SOA ns1 hostmaster %d %s\n@ NS ns1\nns1 A 192.0.2.1\n"
                   % (name, serial, soa))
        file.writelines("h%d A %s\n" % (number, address(number)) for number in hosts)
    return path
