"""Options of a source, as its table in the description says them. Each format has a class of its own."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mailplat.core.errors import InvalidInput
from mailplat.directory.credentials import check_hash
from mailplat.directory.names import domain_key

# What the directory keeps of one (directory/tables.py).
MAX_HASH = 512

# Types of Postfix's maps that are made of a text file of the same name, without their own suffix (DATABASE_README).
_MADE_OF_TEXT = frozenset({"hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash"})


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    format: str


class FileOptions(Options):
    file: str  # relative to the description's folder

    def path(self, folder: Path) -> Path:
        return folder / self.file


class MapOptions(FileOptions):
    """`file` may be written as main.cf has it, "hash:/etc/postfix/virtual": the text that it is made of is read."""

    origin: str = ""  # of names without a domain: Postfix's $myorigin

    def path(self, folder: Path) -> Path:
        """Raises InvalidInput for a map that is no text."""
        kind, colon, rest = self.file.partition(":")
        if not colon or "/" in kind:
            return folder / self.file
        if kind in _MADE_OF_TEXT:
            return folder / rest
        if kind in ("pcre", "regexp"):
            raise InvalidInput(
                f"{self.file}: which addresses a pattern matches cannot be listed, and so not be taken over; write"
                " the addresses that are meant into a text map, or a CSV file"
            )
        raise InvalidInput(
            f"{self.file}: of Postfix's maps text files are read; for one in a database use format sql, or export"
            " it into a CSV file"
        )


def tagged(stored: str, scheme: str) -> str:
    """A hash with its tag; "" for what opens nothing: empty, or locked as crypt(3) has it. Raises InvalidInput, whose
    text has nothing of the hash, for a scheme that is not known here and for one that is too long."""
    if not stored:
        return ""
    if not stored.startswith("{"):
        stored = f"{{{scheme}}}{stored}"
    tag, _, hashed = stored.partition("}")
    if not hashed or (tag.upper().endswith("CRYPT") and hashed.startswith(("!", "*"))):
        return ""
    if len(stored) > MAX_HASH:
        raise InvalidInput(f"a password hash has at most {MAX_HASH} characters")
    if not stored.isprintable():
        raise InvalidInput("a password hash is printable text")
    try:
        return check_hash(stored)
    except InvalidInput:
        tag = stored[1:].partition("}")[0][:20]
        shown = f"{{{tag}}}" if tag.replace("-", "").replace(".", "").isalnum() else "its tag"
        raise InvalidInput(f"{shown} is no scheme of passwords that is known here") from None


def domain_option(text: str) -> str:
    """Of an option that names a domain; "" where it says none. Raises InvalidInput."""
    return domain_key(text) if text else ""
