"""LANG (RFC 6856 3): in which language replies are. English, and i-default, which is English too (RFC 2277)."""

from mailplat.access.pop3.session import Session
from mailplat.wire import pop3

# RFC 5646 tags and their names in their own language. All of our texts are ASCII, so no session has to remember which
# it was given, and nothing is to be forgotten after STLS.
LANGUAGES = {"en": "English", "i-default": "English"}

# What a session begins with, and what "*" asks for (RFC 6856 3.2: the server's choice).
DEFAULT = "i-default"


async def lang(session: Session, command: pop3.Command) -> None:
    """In both states. Without an argument: which there are. The reply to a choice begins with the tag chosen."""
    arguments = command.arguments
    if not arguments:
        lines = "".join(f"{tag} {name}\r\n" for tag, name in LANGUAGES.items())
        session.out(pop3.ok("Language listing follows:") + lines.encode("ascii") + b".\r\n")
        return
    tag = _choose(arguments[0].decode("ascii", "replace").lower()) if len(arguments) == 1 else None
    if tag is None:
        session.out(pop3.err("Invalid language: LANG alone lists those that are there"))
    else:
        session.out(pop3.ok(f"{tag} Replies are in English"))


def _choose(wanted: str) -> str | None:
    """By basic filtering (RFC 4647 3.3.1): a range matches a tag that it is, or begins at a hyphen."""
    if wanted == "*":
        return DEFAULT
    return next((tag for tag in LANGUAGES if tag == wanted or tag.startswith(f"{wanted}-")), None)
