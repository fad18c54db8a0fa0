"""Replies as the oracle compares them: asked for by UDP in batches, or by TCP, and taken apart from their octets.

The parser is the oracle's own: it shares nothing with the server under test, and is checked against dnspython by
`oracle.py` on a sample of replies.
"""
import select
import socket
import struct

# Types whose data hold names that may be compressed or differ in case: octets in front of them, number of names.
NAMES = {2: (0, 1), 5: (0, 1), 6: (0, 2), 12: (0, 1), 15: (2, 1), 33: (6, 1), 39: (0, 1), 46: (18, 1), 47: (0, 1)}


class BadReply(Exception):
    pass


class Reply:
    """A reply: `sections` are sets of (owner, type, class, ttl, data); names are in lower case, uncompressed."""

    __slots__ = ("wire", "flags", "rcode", "question", "sections", "edns", "options", "twice")

    def __init__(self, wire):
        if len(wire) < 12:
            raise BadReply("shorter than a header")
        self.wire = wire
        _, self.flags, qd, an, ns, ar = struct.unpack_from("!6H", wire)
        self.rcode, self.edns, self.options, self.twice = self.flags & 15, None, (), False
        at = 12
        for _ in range(qd):
            _, at = name(wire, at)
            at += 4
        self.question = wire[12:at]
        self.sections = []
        for count in (an, ns, ar):
            records = set()
            for _ in range(count):
                at = self.record(records, at)
            self.sections.append(frozenset(records))
        if at != len(wire):
            raise BadReply("octets behind the last record")

    def record(self, records, at):
        wire = self.wire
        owner, at = name(wire, at)
        rtype, rclass, ttl, length = struct.unpack_from("!HHIH", wire, at)
        at += 10
        end = at + length
        if end > len(wire):
            raise BadReply("data beyond the end")
        if rtype == 41:
            # Payload size, version and flags; the size is a matter of configuration.
            self.edns = ttl & 0x00FFFFFF
            self.rcode |= ttl >> 24 << 4
            self.options = tuple(option_codes(wire[at:end]))
            return end
        record = (owner, rtype, rclass, ttl, data(wire, rtype, at, end))
        self.twice = self.twice or record in records
        records.add(record)
        return end

    aa = property(lambda self: bool(self.flags & 0x0400))
    tc = property(lambda self: bool(self.flags & 0x0200))
    bits = property(lambda self: self.flags & 0xF9F0 & ~0x0400)


def name(wire, at):
    labels, end, lowest = [], None, at
    while True:
        if at >= len(wire):
            raise BadReply("a name beyond the end")
        length = wire[at]
        if length == 0:
            return b"".join(labels) + b"\0", end or at + 1
        if length >= 0xC0:
            if at + 1 >= len(wire):
                raise BadReply("half a pointer")
            target = (length & 0x3F) << 8 | wire[at + 1]
            if target >= lowest:
                raise BadReply("a pointer that goes forward")
            end = end or at + 2
            at = lowest = target
        elif length < 64:
            labels.append(wire[at:at + length + 1].lower())
            at += length + 1
        else:
            raise BadReply("a label of an unknown kind")


def data(wire, rtype, at, end):
    if rtype not in NAMES or at == end:
        return wire[at:end]
    skipped, count = NAMES[rtype]
    parts = [wire[at:at + skipped]]
    at += skipped
    for _ in range(count):
        text, at = name(wire, at)
        parts.append(text)
    return b"".join(parts) + wire[at:end]


def option_codes(octets):
    at = 0
    while at + 4 <= len(octets):
        code, length = struct.unpack_from("!HH", octets, at)
        yield code
        at += 4 + length


class Server:
    """One server on loopback, asked by UDP with up to 256 queries under way."""

    def __init__(self, who, port):
        self.who, self.port = who, port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)

    def send(self, wires, base, only):
        for index in only:
            self.socket.send(struct.pack("!H", base + index) + wires[index][2:])

    def receive(self, base, missing, replies):
        """Fills `replies` with what has come."""
        try:
            while True:
                wire = self.socket.recv(65535)
                index = struct.unpack_from("!H", wire)[0] - base
                if index in missing:
                    missing.discard(index)
                    replies[index] = wire
        except BlockingIOError:
            pass

    def by_tcp(self, wire):
        """One query on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as stream:
            stream.sendall(struct.pack("!H", len(wire)) + wire)
            file = stream.makefile("rb")
            length = struct.unpack("!H", file.read(2))[0]
            return file.read(length)


def asked(servers, wires, base, expects_silence):
    """The replies of every server to every query, None for silence. What was not answered is asked again."""
    replies = [[None] * len(wires) for _ in servers]
    missing = [set(range(len(wires))) for _ in servers]
    attempts, patience = (2, 0.3) if expects_silence else (4, 1.0)
    for _ in range(attempts):
        for server, lacks in zip(servers, missing):
            server.send(wires, base, sorted(lacks))
        while True:
            waiting = {server.socket: (server, lacks, found)
                       for server, lacks, found in zip(servers, missing, replies) if lacks}
            if not waiting:
                return replies
            ready = select.select(list(waiting), [], [], patience)[0]
            if not ready:
                break
            for each in ready:
                server, lacks, found = waiting[each]
                server.receive(base, lacks, found)
    return replies
