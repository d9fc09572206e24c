"""Credentials with which the platform itself reads an account over IMAP, as its user does, to compare what comes with
what it should be. No password of the user is needed and none is set.

Each opens one login, from one connection (address and port are those of a TCP connection that is open already),
within LIFETIME_S, and that session may only read (access/imap/reading.py). What is kept is the SHA-256 of a secret of
256 bits: who reads the table cannot log in with it. That one was made is in the audit log before it exists.
"""

import hashlib
import secrets

import sqlalchemy as sa

from mailplat.core.clock import Clock
from mailplat.db.engine import Database
from mailplat.directory import tables
from mailplat.directory.audit import Audit

# From a secret's making to its use are two round trips on the machine's own network.
LIFETIME_S = 30.0

_PREFIX = "reading-pass-"
_OCTETS = 32


def is_pass(password: str) -> bool:
    """Whether it looks like one: it is then compared with nothing else, and handed to no backend."""
    return password.startswith(_PREFIX) and len(password) == len(_PREFIX) + 2 * _OCTETS


class ReadingPasses:
    """For threads. Raises Unavailable when the database cannot answer."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def issue(self, account_id: int, subject: str, who: str, address: str, port: int) -> str:
        """The secret. `address` and `port` are the client's end of the connection that will use it."""
        after = {"address": address, "port": port, "lifetime_s": LIFETIME_S}
        Audit(self._database, self._clock).record(who, "migrate.read", subject, after=after)
        secret = _PREFIX + secrets.token_hex(_OCTETS)
        now = self._clock.now()
        with self._database.write() as connection:
            connection.execute(tables.reading_pass.delete().where(tables.reading_pass.c.expires <= now))
            connection.execute(
                tables.reading_pass.insert().values(
                    digest=_digest(secret),
                    account_id=account_id,
                    address=address,
                    port=port,
                    expires=now + LIFETIME_S,
                )
            )
        return secret

    def redeem(self, account_id: int, secret: str, address: str, port: int) -> bool:
        """Whether it opens the account to this connection; it opens nothing any more then."""
        row = tables.reading_pass.c
        mine = sa.and_(
            row.digest == _digest(secret),
            row.account_id == account_id,
            row.address == address,
            row.port == port,
            row.expires > self._clock.now(),
        )
        with self._database.write() as connection:
            return bool(connection.execute(tables.reading_pass.delete().where(mine)).rowcount)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
