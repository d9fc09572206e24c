"""Keys for SCRAM, made of an account's own password where its domain's setting asks for them.

They belong to one password hash: when that changes, whoever changes it, they open nothing any more. They are made
again when the next password is set, or come in over TLS with PLAIN. A domain that no longer asks loses them.
"""

import hashlib

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.errors import Unavailable
from mailplat.core.route import RouteState
from mailplat.db.engine import Database
from mailplat.directory import tables
from mailplat.directory.types import Account
from mailplat.wire.sasl import ScramKeys
from mailplat.wire.sasl.scram import ITERATIONS, SALT_OCTETS


def drop(connection: Connection, domain: str) -> None:
    """Of all accounts of the domain."""
    accounts = sa.select(tables.account.c.id).where(tables.account.c.domain == domain)
    connection.execute(tables.scram_key.delete().where(tables.scram_key.c.account_id.in_(accounts)))


def _made_for(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()


class ScramStore:
    """For threads. Raises Unavailable when the database cannot answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._secret: bytes | None = None

    def wanted(self) -> bool:
        """Whether any domain asks for keys."""
        query = sa.select(sa.literal(1)).where(tables.domain.c.scram.is_(sa.true())).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def keys(self, account: Account) -> ScramKeys | None:
        """None where there are none of the password that the account has."""
        key = tables.scram_key.c
        query = sa.select(key.salt, key.iterations, key.stored_key, key.server_key).where(
            key.account_id == account.id, key.made_for == _made_for(account.password_hash)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else ScramKeys(*row)

    def put(self, account: Account, keys: ScramKeys) -> bool:
        """In the place of those that were there. False, and nothing is changed, when the account is gone, has another
        password by now, or its domain asks for no keys."""
        still = (
            sa.select(tables.account.c.id)
            .join(tables.domain, tables.domain.c.name == tables.account.c.domain)
            .where(
                tables.account.c.id == account.id,
                tables.account.c.password_hash == account.password_hash,
                tables.domain.c.scram.is_(sa.true()),
            )
            .with_for_update(of=tables.account)
        )
        with self._database.write() as connection:
            if connection.execute(still).first() is None:
                return False
            mine = tables.scram_key.c.account_id == account.id
            connection.execute(tables.scram_key.delete().where(mine))
            connection.execute(
                tables.scram_key.insert().values(
                    account_id=account.id,
                    made_for=_made_for(account.password_hash),
                    salt=keys.salt,
                    iterations=keys.iterations,
                    stored_key=keys.stored_key,
                    server_key=keys.server_key,
                )
            )
        return True

    def renew_hash(self, account: Account, password_hash: str) -> bool:
        """A better hash of the same password takes the place of `account.password_hash`; keys that were made of the
        password stay. False, and nothing is changed, when the account is gone, has another password by now, or does
        not live in a shard for good: as long as it may go back to a backend, that one must be told of passwords that
        were set here, and of no others."""
        same = self._renewable(account)
        made_for = tables.scram_key.c.made_for
        mine = sa.and_(
            tables.scram_key.c.account_id == account.id, made_for == _made_for(account.password_hash)
        )
        with self._database.write() as connection:
            done = connection.execute(tables.account.update().where(same).values(password_hash=password_hash))
            if done.rowcount:
                connection.execute(
                    tables.scram_key.update().where(mine).values(made_for=_made_for(password_hash))
                )
            return done.rowcount == 1

    def may_renew(self, account: Account) -> bool:
        """Whether `renew_hash` would take one now."""
        query = sa.select(sa.literal(1)).where(self._renewable(account))
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    @staticmethod
    def _renewable(account: Account) -> sa.ColumnElement[bool]:
        final = tables.route.c.state == RouteState.FINAL.value
        here = sa.select(sa.literal(1)).where(tables.route.c.account_id == account.id, final).exists()
        mine = tables.account.c
        return sa.and_(mine.id == account.id, mine.password_hash == account.password_hash, here)

    def decoy(self, name: str) -> ScramKeys:
        """For who has no keys: the same each time and in each process, as a salt is, and opened by no password (RFC
        5802 9). `name` in any case of letters is one."""
        if self._secret is None:
            self._secret = self._read_secret()
        octets = hashlib.blake2b(name.casefold().encode(), key=self._secret, digest_size=64).digest()
        return ScramKeys(octets[:SALT_OCTETS], ITERATIONS, octets[-32:], bytes(32))

    def _read_secret(self) -> bytes:
        """It never changes while the platform lives."""
        query = sa.select(tables.secret.c.octets).where(tables.secret.c.name == "scram-salt")
        with self._database.read() as connection:
            secret: bytes | None = connection.execute(query).scalar_one_or_none()
        if secret is None:
            raise Unavailable("table secret has no row scram-salt, which revision 0009 made; restore it")
        return secret
