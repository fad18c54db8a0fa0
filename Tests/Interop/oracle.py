#!/usr/bin/env python3
"""Asks a server and its peers, which have the very same zone, the same questions, and compares what they say.

    oracle.py ZONE ORIGIN SEED COUNT OURS=PORT PEER=PORT...

Every difference must be explained by a rule of oracle_rules.py. Prints how often each rule was needed, then the
differences that none explains; the status is 1 when there is one. Orders of records and of sets are not compared,
nor is the case of names.
"""
import collections
import sys
import time

import dns.message

import oracle_queries
import oracle_replies
import oracle_rules

BATCH = 128


def differences(query, ours, theirs):
    """(what, ours, theirs) for everything that differs between two replies."""
    if ours is None or theirs is None:
        return [] if ours is theirs else [("silence", ours is None, theirs is None)]
    found = []
    for what in ("tc", "bits", "question", "edns"):
        if getattr(ours, what) != getattr(theirs, what):
            found.append((what, getattr(ours, what), getattr(theirs, what)))
    # A truncated reply is thrown away (RFC 2181 section 9); both are asked again by TCP.
    if not (ours.tc or theirs.tc):
        for what in ("rcode", "aa", "options"):
            if getattr(ours, what) != getattr(theirs, what):
                found.append((what, getattr(ours, what), getattr(theirs, what)))
        for index, what in enumerate(("answer", "authority", "additional")):
            if ours.sections[index] != theirs.sections[index]:
                left, right = ours.sections[index], theirs.sections[index]
                found.append((what, left - right, right - left))
    return found


class Oracle:
    def __init__(self, origin, servers):
        self.servers = servers
        self.used = collections.Counter()
        self.unexplained, self.compared, self.by_stream = [], 0, {}
        self.rules = oracle_rules.Rules(origin)

    def stream(self, query, index):
        """The whole reply of a server, by TCP; asked once per question."""
        key = (query.name, query.type, query.rclass, query.dnssec, query.size is None, index)
        if key not in self.by_stream:
            self.by_stream[key] = oracle_replies.Reply(self.servers[index].by_tcp(query.wire))
        return self.by_stream[key]

    def compare(self, query, replies):
        ours = replies[0]
        if ours is not None:
            self.sound(query, ours)
        for index in range(1, len(replies)):
            theirs, who = replies[index], self.servers[index].who
            self.judge(query, who, ours, theirs)
            if ours is not None and theirs is not None and (ours.tc or theirs.tc) and query.kind != "garbage":
                self.judge(query, who + " by TCP", self.stream(query, 0), self.stream(query, index))
            self.compared += 1

    def judge(self, query, who, ours, theirs):
        for difference in differences(query, ours, theirs):
            rule = self.rules.explaining(query, who, difference, ours, theirs)
            if rule:
                self.used[rule, who.split()[0]] += 1
            else:
                self.unexplained.append((query, who, difference, ours, theirs))

    def sound(self, query, ours):
        """What every reply of ours must hold, whatever others say."""
        limit = max(512, min(query.size or 512, 1232))
        wrong = []
        if query.kind != "garbage":
            if len(ours.wire) > limit:
                wrong.append("length %d" % len(ours.wire))
            if ours.question != query.wire[12:12 + len(ours.question)] or not ours.question:
                wrong.append("the question is not echoed")
            if ours.tc and len(self.stream(query, 0).wire) <= limit:
                wrong.append("truncated without need")
        if ours.twice:
            wrong.append("a record twice")
        for text in wrong:
            self.unexplained.append((query, "nobody", (text, None, None), ours, None))

    def run(self, queries, expects_silence=False):
        queries = list(queries)
        for start in range(0, len(queries), BATCH):
            batch = queries[start:start + BATCH]
            # Ids go round, so that a late reply is not taken for another's.
            base = start // BATCH % 400 * BATCH
            answers = oracle_replies.asked(self.servers, [q.wire for q in batch], base, expects_silence)
            for index, query in enumerate(batch):
                self.compare(query, [self.parsed(query, found[index], server)
                                     for found, server in zip(answers, self.servers)])

    def parsed(self, query, wire, server):
        if wire is None:
            return None
        try:
            reply = oracle_replies.Reply(wire)
            # dnspython reads no message of an opcode that nobody has assigned.
            if server is self.servers[0] and wire[2] >> 3 & 15 in (0, 4, 5) and sum(wire) % 16 == 0:
                message = dns.message.from_wire(wire)
                assert sum(map(len, message.sections[1:])) <= sum(map(len, reply.sections))
            return reply
        except Exception as error:
            self.unexplained.append((query, server.who, ("unreadable: %r" % error, None, wire.hex()), None, None))
            return None


def show(oracle):
    kinds = collections.Counter((who, what[0]) for _, who, what, _, _ in oracle.unexplained)
    print("unexplained by kind:", dict(kinds))
    for query, who, (what, ours, theirs), one, other in oracle.unexplained[:12]:
        print(f"--- {who}: {what}: ours {ours!r}, theirs {theirs!r}")
        print(f"query {query.kind} {query.name} type {query.type} class {query.rclass} DO {query.dnssec} size {query.size}")
        for reply in (query, one, other):
            try:
                print(dns.message.from_wire(reply.wire) if reply else "nothing")
            except Exception as error:
                print("unreadable", repr(error), reply.wire.hex())


def main(zone, origin, seed, count, *servers):
    start = time.monotonic()
    servers = [oracle_replies.Server(who, int(port)) for who, port in (text.split("=") for text in servers)]
    make = oracle_queries.Generator(int(seed), zone, origin)
    oracle, count = Oracle(origin, servers), int(count)
    oracle.run(make.well_formed(count * 90 // 100))
    odd = list(make.odd(count * 6 // 100))
    oracle.run(query for query in odd if query.rclass != 3)
    oracle.run((query for query in odd if query.rclass == 3), expects_silence=True)
    oracle.run(make.garbage(count * 4 // 100), expects_silence=True)
    for (rule, who), number in sorted(oracle.used.items()):
        print(f"{rule:24} {who:6} {number}")
    if oracle.unexplained:
        show(oracle)
    print(f"{count} queries, seed {seed}, {oracle.compared} comparisons, {len(oracle.unexplained)} unexplained, "
          f"{time.monotonic() - start:.0f} s")
    return 1 if oracle.unexplained else 0


sys.exit(main(*sys.argv[1:]))
