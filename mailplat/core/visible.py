"""Text of strangers for people's eyes. Senders choose subjects, users name mailboxes, other servers word errors: what
controls a terminal (C0, C1, DEL), turns a line around (bidirectional controls) or is no character is not shown as it
is."""

import re

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_LINES = re.compile(r"[^\n\t]+")


def visible(text: str) -> str:
    """In one line."""
    return (
        text if text.isprintable() else "".join(each if each.isprintable() else _REPLACEMENT for each in text)
    )


def visible_lines(text: str) -> str:
    """Line ends and tabs stay."""
    return text if text.isprintable() else _LINES.sub(lambda found: visible(found[0]), text)
