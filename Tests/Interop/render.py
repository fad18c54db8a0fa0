"""An independent renderer: what a recipient should read, made with Python's own csv and email packages.

usage: render.py TEMPLATE CSV DIRECTORY

Compares DIRECTORY/<row>.eml, as the product wrote it, with the template's decoded parts in which this
script has put the row's values. Prints "N equal", or the first differences and exits 1.
"""
import csv
import email
import email.header
import email.policy
import email.utils
import html
import pathlib
import re
import sys
import urllib.parse

SECTION = re.compile(r"\{\{([#^])([\w.-]+)\}\}(.*?)\{\{/\2\}\}", re.S)
FIELD = re.compile(r"\{\{(url:)?([\w.-]+)(?:\|([^}]*))?\}\}")


def put(text, row, escape):
    def section(match):
        return match.group(3) if bool(row.get(match.group(2))) == (match.group(1) == "#") else ""

    def field(match):
        value = row.get(match.group(2)) or match.group(3) or ""
        return urllib.parse.quote(value, safe="") if match.group(1) else escape(value)

    while SECTION.search(text):
        text = SECTION.sub(section, text)
    return FIELD.sub(field, text)


def unified(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines(text):
    return unified(text).rstrip("\n")


def one_line(text):
    return re.sub(r"[\r\n\t]+", " ", text)


def parts(message):
    return [part for part in message.walk() if not part.is_multipart()]


def compare(number, template, message, row):
    wrong = []
    row = dict(row, unsubscribe=str(message["List-Unsubscribe"]).strip("<>"), address=row["address"], mailing="mailing")
    subject = put(str(template["Subject"]), {k: one_line(v) for k, v in row.items()}, lambda value: value)
    if " ".join(str(message["Subject"]).split()) != " ".join(subject.split()):
        wrong.append(f"subject {message['Subject']!r}, expected {subject!r}")
    name, address = mailbox(number)
    if address != row["address"]:
        wrong.append(f"to {address!r}")
    if " ".join(name.split()) != " ".join(one_line(row["name"]).split()):
        wrong.append(f"display name {name!r}, expected {row['name']!r}")
    ours, theirs = parts(template), parts(message)
    if [p.get_content_type() for p in ours] != [p.get_content_type() for p in theirs]:
        return wrong + ["other parts"]
    for ours_part, theirs_part in zip(ours, theirs):
        if ours_part.get_content_maintype() != "text":
            if ours_part.get_content() != theirs_part.get_content():
                wrong.append(f"another {ours_part.get_content_type()}")
            continue
        escape = html.escape if ours_part.get_content_type() == "text/html" else (lambda value: value)
        expected = put(ours_part.get_content(), row, lambda value: escape(unified(value)))
        got = theirs_part.get_content()
        if html.unescape(lines(got)) != html.unescape(lines(expected)):
            wrong.append(f"{ours_part.get_content_type()}:\n{lines(got)!r}\nexpected\n{lines(expected)!r}")
    if message.defects:
        wrong.append(f"defects {message.defects}")
    raw = message_bytes(number)
    if any(len(line) > 998 for line in raw.split(b"\r\n")) or re.search(rb"[^\r]\n|\r[^\n]", raw):
        wrong.append("a line too long, or a bare CR or LF")
    return wrong


def mailbox(number):
    # By the older interface: in addresses, the newer one keeps the blanks between encoded-words, which
    # RFC 2047 section 6.2 tells to drop.
    raw = email.message_from_bytes(message_bytes(number), policy=email.policy.compat32)["To"]
    name, address = email.utils.parseaddr(re.sub(r"\r?\n", "", raw))
    return str(email.header.make_header(email.header.decode_header(name))), address


def message_bytes(number):
    return (pathlib.Path(sys.argv[3]) / f"{number}.eml").read_bytes()


def main():
    policy = email.policy.default
    template = email.message_from_bytes(pathlib.Path(sys.argv[1]).read_bytes(), policy=policy)
    equal = 0
    with open(sys.argv[2], newline="", encoding="utf-8-sig") as table:
        for number, row in enumerate(csv.DictReader(table), 1):
            message = email.message_from_bytes(message_bytes(number), policy=policy)
            wrong = compare(number, template, message, row)
            if wrong:
                print(f"row {number}: " + "\n".join(wrong))
                return 1
            equal += 1
    print(f"{equal} equal")
    return 0


sys.exit(main())
