"""The agents' side of Registry.Attend (Protos/farm.proto) for many machines in one process: each over connections of its
own, as `smurf agent` has them, in gRPC over HTTP/2 written by hand, so that the load needs nothing but Python. As a program
of its own it is a crowd of them, until it is ended: agents.py PORT DIRECTORY-OF-CERTIFICATES COUNT LABEL
"""
import asyncio, pathlib, ssl, struct, sys, time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
WARMING, SERVING, DRAINING = 3, 4, 5


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header(name, value):
    """HPACK, literal without indexing (RFC 7541 §6.2.2): no state, no Huffman code."""
    def text(octets):
        assert len(octets) < 127
        return bytes([len(octets)]) + octets
    return b"\0" + text(name) + text(value)


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """One protobuf field: text, or a number that is left out when it is 0."""
    if isinstance(value, str):
        octets = value.encode()
        return bytes([number << 3 | 2]) + varint(len(octets)) + octets if octets else b""
    return bytes([number << 3]) + varint(value) if value else b""


def fields(message):
    """Numbers and values of a protobuf message with varints and octets only."""
    place, found = 0, {}
    def number():
        nonlocal place
        value = shift = 0
        while True:
            octet = message[place]
            place += 1
            value |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                return value
    while place < len(message):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        else:
            size = number()
            found[key >> 3] = message[place:place + size]
            place += size
    return found


class Connection(asyncio.Protocol):
    """One HTTP/2 connection with at most one call on it."""

    def __init__(self):
        self.received, self.message, self.orders = b"", b"", 0
        self.ended = asyncio.get_running_loop().create_future()
        self.on_order = lambda order: None
        self.taken = 0

    def connection_made(self, transport):
        self.transport = transport
        transport.write(PREFACE + frame(SETTINGS, 0, 0, b""))

    def connection_lost(self, error):
        if not self.ended.done():
            self.ended.set_result(error or "closed")

    def data_received(self, octets):
        self.received += octets
        while len(self.received) >= 9:
            size = int.from_bytes(self.received[:3], "big")
            if len(self.received) < 9 + size:
                return
            kind, flags = self.received[3], self.received[4]
            payload, self.received = self.received[9:9 + size], self.received[9 + size:]
            if kind == SETTINGS and not flags & 1:
                self.transport.write(frame(SETTINGS, 1, 0, b""))
            elif kind == PING and not flags & 1:
                self.transport.write(frame(PING, 1, 0, payload))
            elif kind == DATA:
                self.take(payload)
            elif kind == GOAWAY or kind == HEADERS and flags & 1:
                self.transport.close()

    def take(self, payload):
        self.taken += len(payload)
        if self.taken > 16_384:
            for stream in 0, 1:
                self.transport.write(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", self.taken)))
            self.taken = 0
        self.message += payload
        while len(self.message) >= 5:
            size = int.from_bytes(self.message[1:5], "big")
            if len(self.message) < 5 + size:
                return
            self.orders += 1
            self.on_order(fields(self.message[5:5 + size]))
            self.message = self.message[5 + size:]

    def attend(self, authority, scheme):
        block = b"".join(header(name, value) for name, value in [
            (b":method", b"POST"), (b":scheme", scheme), (b":path", b"/smurffarm.v1.Registry/Attend"),
            (b":authority", authority), (b"content-type", b"application/grpc"), (b"te", b"trailers")])
        self.transport.write(frame(HEADERS, 4, 1, block))

    def send(self, message):
        self.transport.write(frame(DATA, 0, 1, b"\0" + struct.pack(">I", len(message)) + message))


class Agent:
    """A machine that does what it is ordered as soon as it is ordered, and says so; else it reports once a second."""

    def __init__(self, name, address, port, trust=None, label=""):
        self.name, self.address, self.port, self.trust, self.label = name, address, port, trust, label
        self.role, self.state, self.sequence, self.reports = "", 2, 0, 0
        self.obeys = True
        self.changed = asyncio.Event()

    async def connect(self, others=0):
        """With `others` more connections that only stand, as an agent has one for what it has to hand over."""
        context = None
        if self.trust:
            context = self.trust
        loop = asyncio.get_running_loop()
        async def one():
            _, connection = await loop.create_connection(Connection, "127.0.0.1", self.port, ssl=context)
            return connection
        self.connection = await one()
        self.others = [await one() for _ in range(others)]
        self.connection.on_order = self.follow
        self.connection.attend(b"127.0.0.1", b"https" if self.trust else b"http")
        self.report()

    def follow(self, order):
        """What `RoleOrder` says: 1 is the role, 3 the state."""
        self.ordered = (order.get(1, b"").decode(), order.get(3, 0))
        if self.ordered != (self.role, self.state):
            if self.obeys:
                self.role, self.state = self.ordered
                self.report()
            self.changed.set()

    def report(self):
        self.sequence += 1
        self.reports += 1
        self.connection.send(b"".join([
            field(1, self.name), field(2, self.address), field(3, self.sequence), field(4, 1), field(5, self.role),
            field(6, self.state), field(7, 1), field(8, 2), bytes([9 << 3 | 1]) + struct.pack("<d", 0.5),
            field(10, self.sequence * 25), field(15, self.label)]))

    async def live(self, until, phase, pause=1):
        """Reports every `pause` seconds, from `phase` seconds on."""
        at = time.monotonic() + phase
        while at < until and not self.connection.ended.done():
            await asyncio.sleep(max(0, at - time.monotonic()))
            self.report()
            at += pause


def trust(directory):
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.check_hostname = False
    context.load_cert_chain(directory / "agent.pem", directory / "agent.key")
    context.set_alpn_protocols(["h2"])
    return context


async def crowd(port, directory, count, label):
    """Says that it is there once all are connected."""
    secrets, lives = trust(directory), []
    for n in range(count):
        one = Agent(f"c{n:04}", f"10.9.{n // 250}.{n % 250 + 1}", port, secrets, label)
        await one.connect()
        lives.append(one.live(float("inf"), n / count))
    print("connected", flush=True)
    await asyncio.gather(*lives)
    raise SystemExit("the control node hung up on all of them")


if __name__ == "__main__":
    asyncio.run(crowd(int(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
