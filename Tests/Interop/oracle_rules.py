"""The differences between our replies and those of others that are legitimate, each as a narrow rule.

oracle-differences.md says for each rule by name who differs, in what, and why; `oracle.py` refuses to run when the
two lists are not the same. A rule is asked about one difference of one reply and looks at both replies.
"""
import pathlib
import re

import dns.name
import dns.rdata

META = {41, 128, 249, 250, 253, 254}
TRANSFERS = {251, 252}
EXTENDED_ERROR = 15
# With their signatures, and the NSEC record where a wildcard stands for the host.
ADDRESSES = {1, 28, 46, 47}
SECTIONS = ("answer", "authority", "additional")


class Rules:
    def __init__(self, origin):
        self.apex = dns.name.from_text(origin)
        text = (pathlib.Path(__file__).parent / "oracle-differences.md").read_text()
        documented = re.findall(r"^## `([a-z-]+)`", text, re.MULTILINE)
        self.rules = {name[5:].replace("_", "-"): getattr(self, name) for name in dir(self) if name.startswith("rule_")}
        if sorted(documented) != sorted(self.rules):
            raise SystemExit(f"oracle-differences.md explains {sorted(documented)}, the code has {sorted(self.rules)}")

    def explaining(self, query, who, difference, ours, theirs):
        """The name of the rule that explains a difference, None when none does."""
        for name, rule in self.rules.items():
            if rule(query, who.split()[0], difference, ours, theirs):
                return name
        return None

    def rule_extended_error(self, query, who, difference, ours, theirs):
        what, left, right = difference
        return what == "options" and set(left) ^ set(right) == {EXTENDED_ERROR}

    def rule_size(self, query, who, difference, ours, theirs):
        # Both replies are compared again by TCP, and `oracle.py` checks that ours did not fit.
        return difference[0] == "tc" and ours.tc != theirs.tc

    def rule_additional(self, query, who, difference, ours, theirs):
        what, left, right = difference
        return ((who != "bind" or query.type == 2) and what == "additional" and not left
                and {record[1] for record in right} <= ADDRESSES)

    def rule_any(self, query, who, difference, ours, theirs):
        what, left, right = difference
        owners = {record[0] for record in left | right} if what == "answer" else set()
        return (query.type == 255 and query.rclass == 1 and what == "answer" and ours.sections[0]
                and owners == {query.name} and ours.rcode == theirs.rcode == 0)

    def rule_rrsig(self, query, who, difference, ours, theirs):
        what, left, right = difference
        return (query.type == 46 and what == "answer" and who in ("bind", "knot") and not right
                and {record[1] for record in left} == {46})

    def rule_alias_of_proof(self, query, who, difference, ours, theirs):
        what = difference[0]
        unfollowed = {"bind": (46, 47), "knot": (46, 47), "nsd": (50,)}[who]
        if query.type not in unfollowed or not ours.sections[0]:
            return False
        followed = any(record[1] == 5 and record[0] == query.name for record in ours.sections[0])
        return followed and what in SECTIONS + ("rcode", "tc", "options") and theirs.rcode == 0

    def rule_alias_loop(self, query, who, difference, ours, theirs):
        what, left, right = difference
        aliases = {record[0]: record[4] for record in theirs.sections[0] if record[1] == 5} if theirs else {}
        if not aliases or ours.rcode or not goes_round(query.name, aliases):
            return False
        if what in ("rcode", "options"):
            return who == "bind" and theirs.rcode == 2
        # Ours ends before the wildcard's alias to itself, with the proof that goes with it.
        return not left and what in ("answer", "authority") and {record[1] for record in right} <= {5, 46, 47}

    def rule_security_bits(self, query, who, difference, ours, theirs):
        what, left, right = difference
        copied = query.wire[3] & (0x30 if theirs and theirs.tc else 0x10)
        return who == "bind" and what == "bits" and not left & 0x30 and right & ~copied == left

    def rule_expanded_nsec(self, query, who, difference, ours, theirs):
        what, left, right = difference
        answered = {record[4] for record in ours.sections[0] if record[1] == 47} if ours else set()
        return (who == "knot" and query.type == 47 and what == "authority" and not right
                and {record[1] for record in left} <= {46, 47}
                and {record[4] for record in left if record[1] == 47} <= answered)

    def rule_nsec_at_cut(self, query, who, difference, ours, theirs):
        delegation = any(record[:2] == (query.name, 2) for record in ours.sections[1]) if ours else False
        return (who == "bind" and query.type == 47 and delegation and not ours.aa and theirs.aa
                and {record[:2] for record in theirs.sections[0]} <= {(query.name, 47), (query.name, 46)}
                and difference[0] in ("aa",) + SECTIONS)

    def rule_chaos(self, query, who, difference, ours, theirs):
        return who == "bind" and query.rclass == 3 and ours.rcode == 5 and difference[0] == "silence"

    def rule_class(self, query, who, difference, ours, theirs):
        if theirs is None or query.rclass == 1 or query.kind != "odd class" or ours.rcode != 5 or any(ours.sections):
            return False
        if query.rclass == 255 and who in ("nsd", "knot"):
            return theirs.rcode in (0, 3)
        return difference[0] in ("rcode", "question", "options") and theirs.rcode in (1, 4, 5)

    def rule_meta_type(self, query, who, difference, ours, theirs):
        return (query.type in META and query.kind == "odd type" and not any(ours.sections)
                and ours.rcode == (4 if self.is_ours(query.name) else 5))

    def rule_type_zero(self, query, who, difference, ours, theirs):
        return query.type == 0 and query.kind == "odd type" and theirs.rcode in (1, 4) and not any(theirs.sections)

    def rule_transfer(self, query, who, difference, ours, theirs):
        return (query.type in TRANSFERS and query.kind == "odd type" and ours.rcode in (1, 5, 9)
                and not any(ours.sections) and theirs.rcode in (0, 1, 4, 5, 9))

    def rule_null_octet(self, query, who, difference, ours, theirs):
        what, left, right = difference
        odd = any(octet == 0 or octet > 127 for octet in query.name[:-1])
        return (who == "knot" and odd and what == "authority" and left
                and {record[1] for record in left | right} <= {46, 47}
                and any(covers(record, query.name) for record in left if record[1] == 47)
                and not any(covers(record, query.name) for record in right if record[1] == 47))

    def rule_form(self, query, who, difference, ours, theirs):
        """Of octets in no good form: whoever calls them an error is silent or says so without records."""
        if query.kind != "garbage":
            return False
        return any(reply is None or reply.rcode not in (0, 3) for reply in (ours, theirs))

    def is_ours(self, name):
        return dns.name.from_wire(name, 0)[0].is_subdomain(self.apex)


def goes_round(name, aliases):
    seen = set()
    while name in aliases and name not in seen:
        seen.add(name)
        name = aliases[name]
    return name in seen


def covers(record, name):
    """Whether an NSEC record covers a name that does not exist, by dnspython's canonical order."""
    first = dns.name.from_wire(record[0], 0)[0]
    after = dns.name.from_wire(record[4], 0)[0]
    asked = dns.name.from_wire(name, 0)[0]
    return first < asked < after or (after <= first and first < asked)
