"""How an account's clients spell mailbox names.

Here levels are separated by "/". An account that came from a platform where they are by "." keeps that, as its
clients do who have downloaded "INBOX.Sent": to them "INBOX/Sent" would be another mailbox. Where a level holds the
other separator, a character that looks like it stands for it; the four are exchanged in a circle, so that every name
can be read back as what it was.
"""

from dataclasses import dataclass

from mailplat.core.errors import InvalidInput

SEPARATORS = ("/", ".")

# DIVISION SLASH and ONE DOT LEADER.
_READ = str.maketrans("./\u2215\u2024", "/\u2215\u2024.")
_WRITTEN = str.maketrans("/\u2215\u2024.", "./\u2215\u2024")


@dataclass(frozen=True, slots=True)
class Spelling:
    """`utf8`: names go over the wire as UTF-8 and not modified UTF-7 (RFC 6855 3, RFC 9051 5.1)."""

    utf8: bool = False
    separator: str = "/"

    def read(self, name: str) -> str:
        """Our name of what a client calls `name`; also of a pattern, whose wildcards stay."""
        return name if self.separator == "/" else name.translate(_READ)

    def written(self, name: str) -> str:
        """What clients call our `name`."""
        return name if self.separator == "/" else name.translate(_WRITTEN)


PLAIN = Spelling()

# Characters of a namespace's prefix; "INBOX." is what there is in the world.
LONGEST_PREFIX = 64


def check_prefix(written: str, separator: str) -> str:
    """A namespace's prefix (RFC 2342 5) in our spelling, from that of clients. Raises InvalidInput."""
    plain = all(" " < each < "\x7f" and each not in '"\\&%*' for each in written)
    if not plain or len(written) > LONGEST_PREFIX or (written and not written.endswith(separator)):
        raise InvalidInput(
            f"{written!r} is no prefix of mailbox names: at most {LONGEST_PREFIX} printable ASCII characters, the"
            f" last one {separator!r}, such as 'INBOX{separator}'"
        )
    return Spelling(separator=separator).read(written)
