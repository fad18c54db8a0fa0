"""The questions that the oracle asks: every kind of name of a zone, each type, in every dress of a message.

Names come from the zone's own text, taken apart by dnspython; everything else comes from one seeded generator.
This file knows nothing of answers.
"""
import collections
import random
import struct

import dns.name
import dns.zone

TYPES = [1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 35, 39, 43, 46, 47, 48, 50, 51, 52, 64, 65, 99, 255, 257, 731, 65300, 65534]
ODD_TYPES = [0, 41, 128, 249, 250, 251, 252, 253, 254]
ODD_CLASSES = [0, 2, 3, 4, 254, 255, 65280]
SIZES = [None, 512, 1232, 4096]

Query = collections.namedtuple("Query", "wire name type rclass dnssec size kind")


def fold(wire):
    """ASCII letters in lower case; octets of length are below 64 and stay."""
    return wire.lower()


def names(path, origin):
    """Wire names to ask for, lower case: owners, ancestors, and neighbours that do not exist."""
    text = open(path, encoding="ascii").read()
    zone = dns.zone.from_text(text, origin=origin, relativize=False, check_origin=False)
    apex = dns.name.from_text(origin)
    owners = set(zone.nodes)
    known = set(owners)
    for owner in owners:
        while owner != apex:
            owner = owner.parent()
            known.add(owner)
    wanted = set(known) | {dns.name.root, apex.parent(), dns.name.from_text("www.example.org")}
    for name in known:
        for label in (b"*", b"zz", b"\0", b"x.y", b"-"):
            add(wanted, (label,) + name.labels)
            add(wanted, (b"q", label) + name.labels)
        if name != apex:
            # Just in front of it and just behind it in canonical order.
            add(wanted, (name.labels[0][:-1] + b"\x01" + name.labels[0][-1:],) + name.labels[1:])
            add(wanted, (name.labels[0] + b"\0",) + name.labels[1:])
    longest = apex
    while add(wanted, (b"l" * 40,) + longest.labels):
        longest = dns.name.Name((b"l" * 40,) + longest.labels)
    return sorted({fold(name.to_wire()) for name in wanted})


def add(wanted, labels):
    try:
        wanted.add(dns.name.Name(labels))
        return True
    except dns.name.NameTooLong:
        return False


class Generator:
    """Queries without end: `well_formed` goes through all names, types and DO; `garbage` is anything."""

    def __init__(self, seed, path, origin):
        self.random = random.Random(seed)
        self.names = names(path, origin)

    def well_formed(self, count):
        """Every name by every type by DO, in random order and again until there are `count`."""
        made = 0
        while made < count:
            plan = [(n, t, d) for n in self.names for t in TYPES for d in (False, True)]
            self.random.shuffle(plan)
            for name, kind, dnssec in plan[:count - made]:
                yield self.query(name, kind, 1, dnssec)
                made += 1

    def odd(self, count):
        """Types and classes that are not of zones."""
        for _ in range(count):
            name = self.random.choice(self.names)
            if self.random.random() < 0.5:
                yield self.query(name, self.random.choice(ODD_TYPES), 1, self.random.random() < 0.5, "odd type")
            else:
                rclass = self.random.choice(ODD_CLASSES)
                yield self.query(name, self.random.choice(TYPES), rclass, self.random.random() < 0.5, "odd class")

    def query(self, name, rtype, rclass, dnssec, kind="plain"):
        # DO needs an OPT record to stand in.
        size = self.random.choice(SIZES[1:] if dnssec else SIZES)
        flags = self.random.choice((0, 0x0100)) | self.random.choice((0, 0, 0x0010)) | self.random.choice((0, 0, 0x0020))
        wire = struct.pack("!HHHHHH", 0, flags, 1, 0, 0, 0 if size is None else 1)
        wire += self.mixed(name) + struct.pack("!HH", rtype, rclass)
        if size is not None:
            wire += b"\0" + struct.pack("!HHBBHH", 41, size, 0, 0, 0x8000 if dnssec else 0, 0)
        return Query(wire, name, rtype, rclass, dnssec, size, kind)

    def mixed(self, name):
        """The name in random case (draft-vixie-dnsext-dns0x20)."""
        bits = self.random.getrandbits(len(name))
        return bytes(c ^ 0x20 if 0x61 <= c <= 0x7A and bits >> i & 1 else c for i, c in enumerate(name))

    def garbage(self, count):
        """Queries with octets changed, cut off, put in; the id stays, so that replies can be told apart."""
        for _ in range(count):
            base = self.query(self.random.choice(self.names), self.random.choice(TYPES), 1, self.random.random() < 0.5)
            wire = bytearray(base.wire)
            for _ in range(self.random.randint(1, 4)):
                at = self.random.randrange(2, len(wire)) if len(wire) > 2 else 2
                action = self.random.randrange(4)
                if action == 0 and self.random.random() < 0.5:
                    del wire[at:]
                elif action == 1:
                    wire.insert(at, self.random.randrange(256))
                elif at < len(wire):
                    wire[at] = self.random.randrange(256)
            yield question(base._replace(wire=bytes(wire), kind="garbage"))


def question(query):
    """The query with the name, type and class that its octets ask for now, as far as they can be told."""
    wire, at = query.wire, 12
    while at < len(wire) and 0 < wire[at] < 64:
        at += wire[at] + 1
    if at + 5 > len(wire) or wire[at] != 0:
        return query
    rtype, rclass = struct.unpack_from("!HH", wire, at + 1)
    return query._replace(name=fold(wire[12:at + 1]), type=rtype, rclass=rclass)
