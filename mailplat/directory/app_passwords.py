"""App passwords: one secret for one program or device, beside the account's own password.

    k7mq-x2fd-9hwt-p4vn-c8rz        20 letters and digits, 99 bits, without those that look like others

Each opens the protocols of its scope until it expires or is removed, and no settings of the account. They are kept
as SHA-256, without a salt and without iterations: those slow down who guesses at passwords that people choose. Of
2^99 equally likely secrets nobody finds one, however fast the hash; no two are equal, and no list of them exists.
A slow hash would cost every login the sum of all its account's app passwords.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mailplat.core.clock import Clock, SystemClock
from mailplat.core.errors import AlreadyExists, InvalidInput, LimitReached, NotFound
from mailplat.db.engine import Database
from mailplat.directory import tables

# What a secret may open. `smtp` is submission.
PROTOCOLS = ("imap", "pop3", "smtp")

# No i, l, o, 0, 1: whoever types it off a screen cannot mistake one for another.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_LENGTH = 20
_GROUP = 4
_FORM = re.compile(rf"(?:[{_ALPHABET}]{{{_GROUP}}}[- ]?){{{_LENGTH // _GROUP - 1}}}[{_ALPHABET}]{{{_GROUP}}}")

MAX_LABEL = 80

# One person's devices and programs, with room; a script that adds one a day is found out. A login reads one row of
# them, whatever their number.
MAX_PER_ACCOUNT = 100


@dataclass(frozen=True, slots=True)
class AppPassword:
    id: int
    account_id: int
    label: str
    scope: tuple[str, ...]  # of PROTOCOLS
    created: float  # Unix time
    expires: float | None  # Unix time; None: never

    def opens(self, protocol: str, now: float) -> bool:
        return protocol in self.scope and (self.expires is None or now < self.expires)


def make_secret() -> str:
    """A new one, as its owner is to type it."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return "-".join(letters[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def digest_of(password: str) -> str | None:
    """What is looked up; None for what no app password looks like. Case, and the hyphens between the groups, do not
    matter. Passwords that people choose come to None, so that their logins ask nothing more of the database."""
    text = password.strip().lower()
    if not _FORM.fullmatch(text):
        return None
    letters = text.replace("-", "").replace(" ", "")
    return hashlib.sha256(b"mailplat app password " + letters.encode()).hexdigest()


class AppPasswords:
    """For threads. Raises Unavailable when the database cannot answer."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock: Clock = clock or SystemClock()

    def add(
        self,
        account_id: int,
        label: str,
        *,
        scope: Collection[str] = PROTOCOLS,
        expires: float | None = None,
    ) -> str:
        """The secret, which cannot be had again. Raises InvalidInput, AlreadyExists for a label that the account
        has, LimitReached at MAX_PER_ACCOUNT."""
        check_label(label)
        unknown = set(scope) - set(PROTOCOLS)
        if unknown or not scope:
            raise InvalidInput(f"a scope is one or more of {', '.join(PROTOCOLS)}")
        now = self._clock.now()
        if expires is not None and expires <= now:
            raise InvalidInput("an app password cannot expire in the past")
        secret = make_secret()
        mine = tables.app_password.c.account_id == account_id
        with self._database.write() as connection:
            labels = connection.execute(sa.select(tables.app_password.c.label).where(mine)).scalars().all()
            if label in labels:
                raise AlreadyExists(f"account {account_id} has an app password {label!r}; remove it first")
            if len(labels) >= MAX_PER_ACCOUNT:
                raise LimitReached(
                    f"account {account_id} has {len(labels)} app passwords, the most that one may have"
                )
            connection.execute(
                tables.app_password.insert().values(
                    account_id=account_id,
                    label=label,
                    digest=digest_of(secret),
                    scope=" ".join(each for each in PROTOCOLS if each in scope),
                    created=now,
                    expires=expires,
                )
            )
        return secret

    def of(self, account_id: int) -> Sequence[AppPassword]:
        """In the order of their labels, the expired ones too."""
        query = _SELECT.where(tables.app_password.c.account_id == account_id)
        with self._database.read() as connection:
            return [_from(*row) for row in connection.execute(query.order_by(tables.app_password.c.label))]

    def remove(self, account_id: int, label: str) -> None:
        """Whoever uses it gets in no more; sessions that are open stay. Raises NotFound."""
        gone = tables.app_password.delete().where(
            tables.app_password.c.account_id == account_id, tables.app_password.c.label == label
        )
        with self._database.write() as connection:
            if not connection.execute(gone).rowcount:
                raise NotFound(f"account {account_id} has no app password {label!r}")

    def find(self, account_id: int, password: str) -> AppPassword | None:
        """The account's app password that this is, whether or not it opens anything; None for any other."""
        digest = digest_of(password)
        if digest is None:
            return None
        query = _SELECT.where(
            tables.app_password.c.account_id == account_id, tables.app_password.c.digest == digest
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _from(*row)


def check_label(label: str) -> None:
    """Raises InvalidInput."""
    if not 1 <= len(label) <= MAX_LABEL or not label.isprintable() or label != label.strip():
        raise InvalidInput(f"a label has 1 to {MAX_LABEL} printable characters, such as 'phone'")


_SELECT = sa.select(
    tables.app_password.c.id,
    tables.app_password.c.account_id,
    tables.app_password.c.label,
    tables.app_password.c.scope,
    tables.app_password.c.created,
    tables.app_password.c.expires,
)


def _from(number: int, account_id: int, label: str, scope: str, *times: Any) -> AppPassword:
    return AppPassword(number, account_id, label, tuple(scope.split()), *times)
