"""Reads replies in hexadecimal, one a line, with dnspython; says which it cannot read, and how many it could."""
import sys

import dns.message

read = unassigned = 0
faults = []
for line in sys.stdin:
    wire = bytes.fromhex(line)
    # dnspython reads no message of an opcode that nobody has assigned.
    if wire[2] >> 3 & 15 not in (0, 1, 2, 4, 5):
        unassigned += 1
        continue
    try:
        dns.message.from_wire(wire)
        read += 1
    except Exception as error:
        faults.append(f"{error!r}: {line}")
print("read", read, "unassigned", unassigned, "unreadable", len(faults))
print("\n".join(faults[:10]))
sys.exit(1 if faults else 0)
