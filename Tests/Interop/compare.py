#!/usr/bin/env python3
"""Compares received messages with what template and table ask for.

An independent renderer: it takes the template apart with Python's email package, fills every decoded
part and header field, and compares the result with the decoded parts of each received file. It shares
nothing with the product but the description of merge fields.

    compare.py TEMPLATE.eml TABLE.csv DIRECTORY

prints one JSON object: messages, distinct (different contents), recipients, missing, twice, wrong.
"""
import csv
import email
import email.header
import email.policy
import hashlib
import html
import json
import pathlib
import re
import sys
import urllib.parse

FIELD = re.compile(r"\{\{\{\s*([^{}]+?)\s*\}\}\}|\{\{\s*([^{}#^/][^{}]*?)\s*\}\}")
SECTION = re.compile(r"\{\{([#^])\s*([\w.-]+)\s*\}\}(.*?)\{\{/\s*\2\s*\}\}", re.DOTALL)


def escape_html(value):
    return html.escape(value, quote=False).replace('"', "&quot;").replace("'", "&#39;")


def fill(text, values, escape):
    def section(match):
        sign, name, inner = match.groups()
        shown = bool(values[name]) == (sign == "#")
        return SECTION.sub(section, inner) if shown else ""

    def field(match):
        raw, plain = match.groups()
        if raw is not None:
            return values[raw]
        name, bar, fallback = plain.partition("|")
        name = name.strip()
        if name.startswith("url:"):
            value = values[name[4:].strip()] or fallback
            return urllib.parse.quote(value.encode(), safe="-._~")
        return escape(values[name] or fallback)

    return FIELD.sub(field, SECTION.sub(section, text))


def header(message, name):
    parts = email.header.decode_header(re.sub(r"\r?\n", "", message[name]))
    text = "".join(
        part if isinstance(part, str) else part.decode(charset or "ascii") for part, charset in parts
    )
    return " ".join(text.split())


def mailboxes(message, name):
    """Decoded (phrase, address) pairs of an address field."""
    raw = re.sub(r"\r?\n", "", message[name])
    return [
        (" ".join(str(email.header.make_header(email.header.decode_header(phrase))).split()), address)
        for phrase, address in email.utils.getaddresses([raw])
    ]


def leaves(message):
    return [part for part in message.walk() if not part.is_multipart()]


def text_of(part):
    return part.get_payload(decode=True).decode("utf-8").replace("\r\n", "\n").rstrip("\n")


def differences(template, message, values):
    found = []
    link = re.search(r"<(http[^>]+)>", re.sub(r"\r?\n[ \t]", "", message["List-Unsubscribe"] or ""))
    values = dict(values, unsubscribe=link.group(1) if link else "(no List-Unsubscribe)")
    wanted = fill(header(template, "Subject"), values, str)
    if header(message, "Subject") != " ".join(wanted.split()):
        found.append(f"Subject: {header(message, 'Subject')!r} instead of {wanted!r}")
    if mailboxes(message, "To") != [(" ".join(values["name"].split()), values["address"])]:
        found.append(f"To: {message['To']!r}")
    ours, theirs = leaves(template), leaves(message)
    if [p.get_content_type() for p in ours] != [p.get_content_type() for p in theirs]:
        return found + ["different MIME structure"]
    for part, received in zip(ours, theirs):
        if part.get_content_maintype() != "text":
            if part.get_payload(decode=True) != received.get_payload(decode=True):
                found.append(f"{part.get_content_type()}: other octets")
            continue
        is_html = part.get_content_type() == "text/html"
        wanted = fill(text_of(part), values, escape_html if is_html else str)
        if text_of(received) != wanted:
            found.append(f"{part.get_content_type()}: {text_of(received)!r} instead of {wanted!r}")
    return found


def main(template_path, table_path, directory):
    template = email.message_from_bytes(pathlib.Path(template_path).read_bytes())
    with open(table_path, encoding="utf-8-sig", newline="") as table:
        rows = {row["address"]: row for row in csv.DictReader(table)}
    seen, contents, wrong = {}, set(), []
    paths = sorted(pathlib.Path(directory).rglob("*.eml"))
    for path in paths:
        octets = path.read_bytes()
        message = email.message_from_bytes(octets)
        _, address = email.utils.parseaddr(message["To"])
        seen[address] = seen.get(address, 0) + 1
        contents.add(hashlib.sha256(octets).digest())
        if address not in rows:
            wrong.append(f"{path.name}: nobody asked for a mail to {address!r}")
            continue
        wrong += [f"{path.name}: {text}" for text in differences(template, message, rows[address])]
    print(
        json.dumps(
            {
                "messages": len(paths),
                "distinct": len(contents),
                "recipients": len(seen),
                "missing": sorted(set(rows) - set(seen)),
                "twice": sorted(address for address, count in seen.items() if count > 1),
                "wrong": wrong[:20],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
