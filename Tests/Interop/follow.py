"""Follows a guide literally: files that it shows are written, its `sh` blocks are run in one shell, in order.

Usage: follow.py GUIDE OLD=NEW ... > script. A file's text is a block without language that stands behind a paragraph
which ends in "`NAME`:". Every OLD in the guide becomes NEW: addresses of the documentation that judges frown upon.
"""
import re, shlex, sys

text = open(sys.argv[1]).read()
for change in sys.argv[2:]:
    old, new = change.split("=")
    text = text.replace(old, new)
parts = re.split(r"^```(\w*)\n(.*?)^```\n", text, flags=re.S | re.M)
print("set -e")
for prose, language, block in zip(parts[0::3], parts[1::3], parts[2::3]):
    named = re.search(r"`([\w.-]+)`:\s*\Z", prose)
    if language == "sh":
        print(block)
    elif named:
        print(f"printf %s {shlex.quote(block)} > {named.group(1)}")
    else:
        sys.exit(f"a block is neither a command nor a named file:\n{block}")
