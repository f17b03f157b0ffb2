"""Synthetic traffic of a sinkhole, with known truth: who meets it in so many days, and who they are.

A population follows from a seed and a mix. It comes in two forms: as lines for
tests/load/sink_census_feed.c, in simulated time, and as the octets of check-ins, to be sent to a real
sensor from addresses of 127.0.0.0/8. Everything here is invented; the formats are the published ones.

What victims do follows what is written of these families: they try again within seconds to minutes
while the machine is on, for days to months. What the others do follows reports on who meets
sinkholes, and goes beyond: some hunters here imitate victims as well as they can.
"""

import base64
import collections
import hashlib
import random
import socket
import ssl
import time
from dataclasses import dataclass, field

DAY = 86400
HOUR = 3600
MINUTE = 60
START = 20700 * DAY

VICTIM, HUNTER, SCANNER, SANDBOX, RESOLVER, CRAWLER = "victim", "hunter", "scanner", "sandbox", "resolver", "crawler"

FAMILIES = ("njrat", "njw0rm", "hworm")
OTHER_FAMILIES = ("gh0st", "darkcomet", "nanocore", "asyncrat", "xtremerat")
COUNTRIES = (("CH", 64496), ("DE", 64497), ("DZ", 64498), ("IQ", 64499), ("BR", 64500), ("EG", 64501))
FAKE_HOST = "WIN-JNAPIER0859"


@dataclass
class Mix:
    """How many of each; shares are of victims."""

    days: int = 14
    victims: int = 400
    # Victims
    short_lived: float = 0.12  # cleaned or reinstalled within a day
    behind_nat: float = 0.20
    nat_size: int = 6
    mobile: float = 0.10
    daily_address: float = 0.45  # of the others: a new address each day, as by DHCP
    odd_fields: float = 0.01  # always fields that don't agree
    reinstalled: float = 0.05  # another machine and user, half way
    two_users: float = 0.05
    nat_with_scanner: float = 0.2  # of the NATs
    # Others, counts of operators
    hunters_constant: int = 3  # one id from ever other addresses
    hunters_slow: int = 4  # one id, another network each day
    hunters_random: int = 3  # one address, ids made up
    hunters_replay: int = 3  # check-ins of others, again and again, from few addresses
    hunters_replay_all: int = 2  # check-ins of the very victims that come here
    hunters_fake: int = 4  # the known fake
    hunters_daily: int = 12  # the same id from the same address each day, once
    hunters_toolbox: int = 4  # many families, and scans, from one address
    hunters_retrying: int = 4  # one id, one address, each day several tries, and scans besides
    hunters_perfect: int = 2  # in all they do like a victim
    laboratories: int = 3
    sandboxes: int = 30  # runs seen alone
    scanners: int = 1500
    resolvers: int = 20
    crawlers: int = 20


# The census's rules were made with TUNED in view. HELD_OUT was fixed before they were tried on it, and
# nothing was changed for it.
TUNED = Mix()
HELD_OUT = Mix(days=21, victims=300, short_lived=0.20, behind_nat=0.35, nat_size=15, mobile=0.20, daily_address=0.7,
               odd_fields=0.02, reinstalled=0.10, two_users=0.10, nat_with_scanner=0.5, hunters_constant=6,
               hunters_slow=10, hunters_random=8, hunters_replay=6, hunters_replay_all=4, hunters_fake=8,
               hunters_daily=30, hunters_toolbox=8, hunters_retrying=10, hunters_perfect=2, laboratories=6,
               sandboxes=80, scanners=3000)

# To be played in seconds. What is told apart by hours and days between check-ins alone isn't in it: where a
# day takes a second, who comes once a day tries again at once.
PLAYED = Mix(days=10, victims=60, odd_fields=0, hunters_constant=2, hunters_slow=0, hunters_random=2, hunters_replay=0,
             hunters_replay_all=0, hunters_fake=2, hunters_daily=0, hunters_toolbox=0, hunters_retrying=2,
             hunters_perfect=0, laboratories=0, sandboxes=5, scanners=150, resolvers=0, crawlers=5)

# Of its victims none is here for about a day: between 0.1 and 1.18 days there is nobody, so that no busy machine makes
# it doubtful who stayed for long enough.
PLAYED_SEED = "265"


@dataclass
class Bot:
    """An infection, or what pretends to be one."""

    truth: str
    family: str
    bot_id: str
    host: str
    user: str
    kind: str  # which of its sort: for a look at what was judged wrongly
    odd: bool = False
    fake: bool = False
    first: int = None
    last: int = None
    checkins: int = 0


@dataclass
class Event:
    at: float
    kind: str
    address: str
    country: tuple
    family: str = ""
    bot: Bot = None
    host: str = ""
    user: str = ""
    port: int = 1177
    sent: float = None  # when it was played


@dataclass
class Population:
    seed: object
    mix: Mix
    bots: list = field(default_factory=list)
    events: list = field(default_factory=list)

    def __post_init__(self):
        self.random = random.Random("%s" % self.seed)
        self.networks = 0
        for sort in (self._victims, self._hunters, self._laboratories, self._others):
            sort()
        self.events.sort(key=lambda event: event.at)

    # ---- Places ----

    def _network(self):
        """The first three parts of an address that nobody else gets."""
        self.networks += 1
        return "127.%d.%d" % (self.networks // 256 % 256, self.networks % 256)

    def _address(self, network=None):
        return "%s.%d" % (network or self._network(), self.random.randrange(1, 255))

    # ---- Victims ----

    def _bot(self, truth, kind, family=None, **options):
        r = self.random
        serial = "%08X" % r.getrandbits(32)
        family = family or r.choice(FAMILIES)
        campaign = r.choice(["HacKed", "Victim", "lol", "Server", "2014", "test"])
        host = r.choice(["PC-%04d" % r.randrange(10000), "USER-PC", "DESKTOP-%06X" % r.getrandbits(24), "WIN7"])
        user = r.choice(["user", "admin", "ana", "omar", "PC", "karl%d" % r.randrange(100)])
        bot = Bot(truth, family, serial if family == "hworm" else "%s_%s" % (campaign, serial), host, user, kind,
                  **options)
        self.bots.append(bot)
        return bot

    def _checkin(self, at, bot, address, country, host=None, user=None):
        if at >= START + self.mix.days * DAY:
            return
        bot.first = at if bot.first is None else min(bot.first, at)
        bot.last = at if bot.last is None else max(bot.last, at)
        bot.checkins += 1
        self.events.append(Event(at, "check-in", address, country, bot.family, bot, host or bot.host, user or bot.user))

    def _online(self, bot, address, country, start, lasts, every, **fields):
        """Tries again and again while the machine is on; of a long row some tries stand for all."""
        at = start
        step = max(every, lasts / 12)
        while at < start + lasts:
            self._checkin(at, bot, address, country, **fields)
            at += self.random.uniform(0.5, 1.5) * step
        if lasts > every:  # the retry that follows at once
            self._checkin(start + every, bot, address, country, **fields)

    def _victims(self):
        mix, r = self.mix, self.random
        nat_left, nat_address, nat_country = 0, None, None
        for _ in range(mix.victims):
            country = r.choice(COUNTRIES)
            short = r.random() < mix.short_lived
            odd = r.random() < mix.odd_fields
            way = r.random()
            if way < mix.behind_nat:
                if nat_left == 0:
                    nat_left, nat_address, nat_country = r.randrange(2, 2 * mix.nat_size), self._address(), country
                    if r.random() < mix.nat_with_scanner:
                        for _ in range(3):
                            self._probe(START + r.random() * mix.days * DAY, nat_address, country)
                nat_left -= 1
                self._victim(self._bot(VICTIM, "nat", odd=odd), nat_country, lambda: nat_address, short, 1)
            elif way < mix.behind_nat + mix.mobile:
                pool = [self._network() for _ in range(8)]
                self._victim(self._bot(VICTIM, "mobile", odd=odd), country, lambda: self._address(r.choice(pool)),
                             short, r.randrange(2, 6))
            elif r.random() < mix.daily_address:
                pool = [self._network() for _ in range(4)]
                self._victim(self._bot(VICTIM, "dhcp", odd=odd), country, lambda: self._address(r.choice(pool)),
                             short, 1)
            else:
                address = self._address()
                self._victim(self._bot(VICTIM, "static", odd=odd), country, lambda: address, short, 1)

    def _victim(self, bot, country, place, short, sessions):
        mix, r = self.mix, self.random
        infected = START + r.random() * mix.days * 0.7 * DAY
        cleaned = infected + (r.uniform(0.01, 0.9) * DAY if short else r.expovariate(1 / 12) * DAY + DAY)
        every = r.choice([5, 5, 30, MINUTE, 5 * MINUTE])
        on_days = r.choice([0.5, 0.7, 0.9, 1.0])  # not every machine is on each day
        machines = [{"host": bot.host, "user": bot.user}]
        reinstalled = r.random() < mix.reinstalled
        two_users = r.random() < mix.two_users
        day = infected
        while day < min(cleaned, START + mix.days * DAY):
            if day == infected or r.random() < on_days:
                for _ in range(r.randrange(1, sessions + 1)):
                    fields = machines[0]
                    if two_users and r.random() < 0.5:
                        fields = {"host": bot.host, "user": bot.user + "2"}
                    if reinstalled and day > (infected + cleaned) / 2:
                        fields = {"host": bot.host[:11] + "-NEW", "user": bot.user}  # of 15 at most
                    start = day + r.random() * 12 * HOUR
                    lasts = min(r.choice([10 * MINUTE, HOUR, 4 * HOUR, 10 * HOUR]), max(cleaned - start, every))
                    self._online(bot, place(), country, start, lasts, every, **fields)
            day += DAY

    # ---- Hunters ----

    def _probe(self, at, address, country, kind=None, port=None):
        kind = kind or self.random.choice(["http-scan", "ssh", "smb", "rdp", "probe", "tls", "nothing"])
        self.events.append(Event(at, kind, address, country, port=port or self.random.choice([22, 80, 443, 445, 3389])))

    def _times(self, times, spread=DAY):
        """So many moments, one in each `spread`."""
        for i in range(times):
            yield START + i * spread + self.random.random() * spread * 0.9

    def _hunters(self):
        mix, r = self.mix, self.random
        country = ("US", 64510)
        end = mix.days
        for _ in range(mix.hunters_constant):
            bot = self._bot(HUNTER, "constant")
            for at in self._times(end * 20, DAY / 20):
                self._checkin(at, bot, self._address(), country)
        for _ in range(mix.hunters_slow):
            bot = self._bot(HUNTER, "slow")
            for at in self._times(end):
                address = self._address()
                for _ in range(r.choice([1, 1, 2])):
                    self._checkin(at + r.random() * MINUTE, bot, address, country)
        for _ in range(mix.hunters_random):
            address = self._address()
            for at in self._times(end * 15, DAY / 15):
                bot = self._bot(HUNTER, "random")
                for _ in range(r.randrange(1, 4)):
                    self._checkin(at + r.random() * MINUTE, bot, address, country)
        for _ in range(mix.hunters_replay):
            bots = [self._bot(HUNTER, "replay") for _ in range(r.randrange(3, 12))]
            addresses = [self._address() for _ in range(2)]
            for at in self._times(end * 2, DAY / 2):
                for bot in bots:
                    self._checkin(at + r.random() * MINUTE, bot, r.choice(addresses), country)
        victims = [bot for bot in self.bots if bot.truth == VICTIM]
        for _ in range(mix.hunters_replay_all):
            address = self._address()
            for bot in r.sample(victims, len(victims) // 4):
                seen = (bot.first, bot.last, bot.checkins)
                if bot.last is not None:
                    self._checkin(bot.last + r.random() * 3 * DAY, bot, address, country)
                bot.first, bot.last, bot.checkins = seen  # the truth is of the machine alone
        for _ in range(mix.hunters_fake):
            bot = self._bot(HUNTER, "fake", family="njrat", fake=True)
            bot.bot_id, bot.host, bot.user = "HacKed_9E079D%02X" % r.getrandbits(8), FAKE_HOST, "JNapier"
            address = self._address()
            for at in self._times(end):
                self._online(bot, address, country, at, HOUR, MINUTE)
        for _ in range(mix.hunters_daily):
            bot, address = self._bot(HUNTER, "daily"), self._address()
            for at in self._times(end):
                self._checkin(at, bot, address, country)
        for _ in range(mix.hunters_toolbox):
            address = self._address()
            bots = [self._bot(HUNTER, "toolbox", family=family) for family in FAMILIES]
            for at in self._times(end):
                for bot in bots:
                    for _ in range(2):
                        self._checkin(at + r.random() * MINUTE, bot, address, country)
                for family in OTHER_FAMILIES:
                    self.events.append(Event(at + r.random() * MINUTE, "check-in", address, country, family))
                self._probe(at, address, country)
        for _ in range(mix.hunters_retrying):
            bot, address = self._bot(HUNTER, "retrying"), self._address()
            for at in self._times(end):
                for _ in range(4):
                    self._checkin(at + r.random() * MINUTE, bot, address, country)
                for _ in range(2):
                    self._probe(at + r.random() * MINUTE, address, country,
                                r.choice(["http-scan", "ssh", "smb", "rdp", "probe"]))
        for _ in range(mix.hunters_perfect):
            bot, address = self._bot(HUNTER, "perfect"), self._address()
            for at in self._times(end):
                self._online(bot, address, country, at, 2 * HOUR, MINUTE)

    # ---- The others ----

    def _laboratories(self):
        mix, r = self.mix, self.random
        for _ in range(mix.laboratories):
            network = self._network()
            for at in self._times(mix.days * 6, DAY / 6):
                bot = self._bot(SANDBOX, "laboratory")
                self._online(bot, self._address(network), ("US", 64511), at, 5 * MINUTE, 30)
        for _ in range(mix.sandboxes):
            bot, at = self._bot(SANDBOX, "sandbox"), START + r.random() * mix.days * DAY
            self._online(bot, self._address(), r.choice(COUNTRIES), at, r.choice([2, 5, 10]) * MINUTE, 30)
            if r.random() < 0.3:  # the sample is run a second time on another day, on another machine's disk
                again = self._bot(SANDBOX, "sandbox")
                self._online(again, self._address(), r.choice(COUNTRIES), at + DAY, 5 * MINUTE, 30)

    def _others(self):
        mix, r = self.mix, self.random
        country = ("NL", 64512)
        for _ in range(mix.scanners):
            address = self._address()
            for _ in range(r.randrange(1, 5)):
                self._probe(START + r.random() * mix.days * DAY, address, country)
        for _ in range(mix.resolvers):
            address = self._address()
            for at in self._times(mix.days):
                self._probe(at, address, country, "dns", 53)
        for _ in range(mix.crawlers):
            address = self._address()
            for at in self._times(mix.days):
                self._probe(at, address, country, "crawler", 80)

    # ---- Truth ----

    def victims(self):
        """Truth: victims that came here at all."""
        return [bot for bot in self.bots if bot.truth == VICTIM and bot.first is not None]

    def provable(self, persistence, checkins):
        """Of them, those that were here for long enough and whose fields agree: what can be proven."""
        return [bot for bot in self.victims()
                if bot.last - bot.first >= persistence and bot.checkins >= checkins and not bot.odd]

    # ---- The form for sink_census_feed ----

    def lines(self):
        """At (µs), kind, family, flags, id, machine, client, network, AS number, country, order, name, port."""
        for event in self.events:
            network = event.address.rsplit(".", 1)[0]
            flags = "wc"
            victim = machine = "-"
            if event.bot is not None:
                flags = ("w" if event.bot.odd else "wc") + ("f" if event.bot.fake else "")
                victim = victim_hash(event.bot)
                machine = _hash("machine", event.host, event.user)
            yield "%d %s %s %s %s %s %s %s %d %s nv-1 c2.example %d\n" % (
                int(event.at * 1000000), event.kind, event.family or "-", flags, victim, machine,
                _hash("address", event.address), _hash("network", network), event.country[1], event.country[0],
                event.port)


def _hash(*parts):
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def victim_hash(bot):
    return _hash("victim", bot.family, bot.bot_id)


# ---- The octets of check-ins, in the published formats ----


def njrat_checkin(bot, separator="|'|'|", version="0.7d"):
    fields = ["ll", base64.b64encode(bot.bot_id.encode()).decode(), bot.host, bot.user, "14-03-27", "",
              "Win 7 Professional SP1 x64", "No", version, "..", base64.b64encode(b"Program Manager\0").decode(), ""]
    message = separator.join(fields).encode()
    return b"%d\0%s" % (len(message), message)


def njw0rm_checkin(bot, separator="0njxq80"):
    fields = ["lv", bot.bot_id, "CHE", "WIN_7 X64 SP1", "0.3.3a", "N", "Program Manager"]
    return separator.join(fields).encode() + b"\r\n"


def hworm_checkin(bot, host="c2.example", separator="<|>"):
    fields = [bot.bot_id, bot.host, bot.user, "Microsoft Windows 7 Professional", "plus", "nan-av",
              "false - 27/03/2014"]
    return ("POST /is-ready HTTP/1.1\r\nAccept: */*\r\nUser-Agent: %s\r\nHost: %s\r\nContent-Length: 0\r\n"
            "Connection: Keep-Alive\r\n\r\n" % (separator.join(fields), host)).encode()


CHECKINS = {"njrat": njrat_checkin, "njw0rm": njw0rm_checkin, "hworm": hworm_checkin}


def _client_hello():
    """Without a name, as scanners of whole networks send it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(coming, going).do_handshake()
    except ssl.SSLWantReadError:
        return going.read()
    raise AssertionError("a handshake without a server")


def crawler_request(host):
    return ("GET /robots.txt HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0 (compatible; Googlebot/2.1; "
            "+http://www.google.com/bot.html)\r\n\r\n" % host).encode()


PROBES = {
    "http-scan": b"GET /.env HTTP/1.1\r\nHost: 192.0.2.66\r\nUser-Agent: zgrab/0.x\r\n\r\n",
    "ssh": b"SSH-2.0-Go\r\n",
    "smb": b"\0\0\0\x2f\xffSMBr" + bytes(27) + b"\0\x0c\0\2NT LM 0.12\0",  # [MS-CIFS] 2.2.4.52
    "rdp": bytes.fromhex("030000130ee000000000000100080003000000"),  # [MS-RDPBCGR] 2.2.1.1
    "tls": _client_hello(),
    "probe": b"*1\r\n$4\r\nPING\r\n",  # Redis
    "nothing": b"",
}


def octets(event, host="c2.example"):
    """What is sent for an event, or None where only the other form has it. `host` is the name that brings it."""
    if event.kind == "crawler":
        return crawler_request(host)
    if event.bot is None:
        return PROBES.get(event.kind)
    seen = Bot(event.bot.truth, event.family, event.bot.bot_id, event.host, event.user, event.bot.kind)
    return hworm_checkin(seen, host) if event.family == "hworm" else CHECKINS[event.family](seen)


def play(population, to, seconds, hold_s=0.0, host=lambda event: "c2.example"):
    """Sends what the population sends within so many seconds, from its own addresses, and closes each connection after
    `hold_s`. `to` is an address and port, or a function that gives them for an event; `host(event)` is the name that
    brings it. Returns the events that were sent: those that need more than a first packet are left out."""
    sent, open_ones = [], collections.deque()
    begun = time.monotonic()

    def close_until(moment):
        while open_ones and open_ones[0][0] <= moment:
            time.sleep(max(0, open_ones[0][0] - time.monotonic()))
            open_ones.popleft()[1].close()

    try:
        for event in population.events:
            message = octets(event, host(event))
            if message is None:
                continue
            due = begun + (event.at - START) / (population.mix.days * DAY) * seconds
            close_until(max(due, time.monotonic()))  # who is late closes what is due all the same
            time.sleep(max(0, due - time.monotonic()))
            client = socket.socket()
            open_ones.append((time.monotonic() + hold_s, client))
            client.bind((event.address, 0))
            client.connect(to(event) if callable(to) else to)
            client.sendall(message)
            event.sent = time.time()
            sent.append(event)
        close_until(float("inf"))
    finally:
        for _, client in open_ones:
            client.close()
    return sent


def networks(population):
    """For testbed.mmdb: the network of each address, and whose it is."""
    return {event.address.rpartition(".")[0] + ".0/24": {
        "autonomous_system_number": event.country[1],
        "autonomous_system_organization": "Network %d of example" % event.country[1],
        "country": {"iso_code": event.country[0]}} for event in population.events}


def as_played(population):
    """Puts the truth in the time of the play: a busy machine plays some of it late. Not for mixes with hunters that
    replay: what they send of victims counts here, too."""
    for bot in population.bots:
        bot.first, bot.last, bot.checkins = None, None, 0
    for event in population.events:
        bot = event.bot
        if bot is not None and event.sent is not None:
            bot.first = event.sent if bot.first is None else bot.first
            bot.last = event.sent
            bot.checkins += 1
