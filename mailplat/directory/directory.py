"""The door: every method is one transaction, for threads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.address import Address
from mailplat.core.clock import Clock, SystemClock
from mailplat.core.errors import AlreadyExists, InvalidInput, NotFound, StaleEpoch
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.route import BackendHome, Home, Route, RouteState
from mailplat.db.engine import Database
from mailplat.directory import bulk, quotas, resolution, routes, scram_keys, tables
from mailplat.directory.names import alias_source, domain_key
from mailplat.directory.quotas import Promised
from mailplat.directory.types import Account, Alias, Backend, Domain, Login, Resolution
from mailplat.wire.smtp.address import MAX_LOCAL

_ACCOUNT = (
    tables.account.c.id,
    tables.account.c.local,
    tables.account.c.domain,
    tables.account.c.password_hash,
    tables.account.c.quota,
    tables.account.c.active,
    tables.domain.c.quota,
    tables.domain.c.app_passwords_only,
    tables.domain.c.scram,
    tables.account.c.separator,
    tables.account.c.prefix,
)
_ACCOUNTS = sa.select(*_ACCOUNT).join(tables.domain, tables.domain.c.name == tables.account.c.domain)
RESIDENTS = (
    sa.select(*_ACCOUNT, *routes.COLUMNS)
    .join(tables.domain, tables.domain.c.name == tables.account.c.domain)
    .join(tables.route, tables.route.c.account_id == tables.account.c.id)
)
_LOGIN = RESIDENTS.where(tables.account.c.key == sa.bindparam("key"))
_ORDER = (tables.account.c.domain, tables.account.c.key)

_BACKEND = [each.name for each in fields(Backend) if each.name != "limits"]


class Directory:
    """Domains, accounts, aliases, backends, routes of one platform. Raises NotFound, AlreadyExists, InvalidInput,
    and Unavailable when the database cannot answer."""

    def __init__(
        self, database: Database, clock: Clock | None = None, *, sources: SourceLimits | None = None
    ) -> None:
        """`sources`: what is borne of any backend."""
        self._sources = sources or SourceLimits()
        self.database = database
        self.clock: Clock = clock or SystemClock()

    # domains

    def add_domain(self, name: str, *, quota: int = 0) -> Domain:
        key = domain_key(name)
        with self._unique(f"domain {key}"), self.database.write() as connection:
            connection.execute(tables.domain.insert().values(name=key, quota=quota))
        return Domain(key, quota)

    def domain(self, name: str) -> Domain:
        key = domain_key(name)
        with self.database.read() as connection:
            return self._need_domain(connection, key)

    def domains(self) -> list[Domain]:
        query = sa.select(tables.domain).order_by(tables.domain.c.name)
        with self.database.read() as connection:
            return [Domain(*row) for row in connection.execute(query)]

    def set_domain(
        self,
        name: str,
        *,
        quota: int | None = None,
        app_passwords_only: bool | None = None,
        scram: bool | None = None,
    ) -> None:
        key = domain_key(name)
        given = {"quota": quota, "app_passwords_only": app_passwords_only, "scram": scram}
        values = {name: value for name, value in given.items() if value is not None}
        with self.database.write() as connection:
            self._need_domain(connection, key)
            if values:
                connection.execute(tables.domain.update().where(tables.domain.c.name == key).values(**values))
            if scram is False:
                scram_keys.drop(connection, key)

    def promised(self) -> dict[str, Promised]:
        with self.database.read() as connection:
            return quotas.promised(connection)

    def remove_domain(self, name: str) -> None:
        """Raises InvalidInput while the domain has accounts or aliases."""
        key = domain_key(name)
        with self.database.write() as connection:
            self._need_domain(connection, key)
            for what, table in (("accounts", tables.account), ("aliases", tables.alias)):
                if connection.execute(sa.select(sa.literal(1)).where(table.c.domain == key).limit(1)).first():
                    raise InvalidInput(f"domain {key} still has {what}; remove them first")
            connection.execute(tables.domain.delete().where(tables.domain.c.name == key))

    # accounts

    def add_account(
        self, address: Address, *, home: Home, password_hash: str = "", quota: int = 0
    ) -> Account:
        """The account and its route: FINAL when the home is a shard, LEGACY when it is a backend."""
        with self._unique(f"account {address}"), self.database.write() as connection:
            domain = self._need_domain(connection, address.domain)
            new = bulk.NewAccount(address, password_hash, quota)
            account_id = bulk.insert_accounts(connection, [new], home)[address.key]
        return Account(
            account_id,
            address,
            password_hash,
            quota,
            True,
            domain.quota,
            domain.app_passwords_only,
            domain.scram,
        )

    def account(self, address: Address) -> Account:
        return self._account(tables.account.c.key == address.key, str(address))

    def account_by_id(self, account_id: int) -> Account:
        return self._account(tables.account.c.id == account_id, str(account_id))

    def accounts(self, domain: str | None = None) -> list[Account]:
        query = _ACCOUNTS.order_by(*_ORDER)
        if domain is not None:
            query = query.where(tables.account.c.domain == domain_key(domain))
        with self.database.read() as connection:
            return [_to_account(*row) for row in connection.execute(query)]

    def residents(self, domain: str | None = None) -> list[Login]:
        """Accounts with their routes."""
        query = RESIDENTS.order_by(*_ORDER)
        if domain is not None:
            query = query.where(tables.account.c.domain == domain_key(domain))
        with self.database.read() as connection:
            return [to_login(*row) for row in connection.execute(query)]

    def domains_of(self, account_ids: Collection[int]) -> dict[int, str]:
        """By account, of those that there are."""
        with self.database.read() as connection:
            return quotas.domains_of(connection, account_ids)

    def accounts_by_home(self) -> dict[str, int]:
        """Number of accounts in each home, "shard:NAME" or "backend:NAME"."""
        query = sa.select(tables.route.c.home, sa.func.count()).group_by(tables.route.c.home)
        with self.database.read() as connection:
            return {str(row[0]): int(row[1]) for row in connection.execute(query)}

    def set_account(
        self,
        account_id: int,
        *,
        quota: int | None = None,
        active: bool | None = None,
        password_hash: str | None = None,
        separator: str | None = None,
        prefix: str | None = None,
    ) -> None:
        given = {"quota": quota, "active": active, "password_hash": password_hash}
        given |= {"separator": separator, "prefix": prefix}
        values = {name: value for name, value in given.items() if value is not None}
        if not values:
            return
        with self.database.write() as connection:
            done = connection.execute(
                tables.account.update().where(tables.account.c.id == account_id).values(**values)
            )
            if done.rowcount != 1:
                raise NotFound(f"there is no account {account_id}")

    def set_quotas(self, octets: Mapping[str, int]) -> list[str]:
        """By Address.key, all or none, in one transaction. Returns the keys that are no account's; where there are
        any, nothing was changed."""
        with self.database.write() as connection:
            return quotas.set_many(connection, octets)

    def unknown(self, keys: Collection[str]) -> list[str]:
        """Those that are no account's Address.key."""
        with self.database.read() as connection:
            return quotas.unknown(connection, list(keys))

    def set_domain_quotas(self, domain: str, octets: int) -> int:
        """Of every account of a domain; how many there are."""
        key = domain_key(domain)
        with self.database.write() as connection:
            self._need_domain(connection, key)
            return quotas.set_domain(connection, key, octets)

    def capture_password(self, account: Account, password_hash: str) -> bool:
        """The hash of a password that the account's backend accepted takes the place of `account.password_hash`.
        False, and nothing is changed, when that is no longer its hash or a backend no longer its home."""
        on_backend = (
            sa.select(sa.literal(1))
            .where(tables.route.c.account_id == account.id, tables.route.c.home.startswith("backend:"))
            .exists()
        )
        same = sa.and_(
            tables.account.c.id == account.id,
            tables.account.c.password_hash == account.password_hash,
            on_backend,
        )
        with self.database.write() as connection:
            done = connection.execute(tables.account.update().where(same).values(password_hash=password_hash))
            return done.rowcount == 1

    def remove_account(self, address: Address, *, route: Route | None = None) -> None:
        """`route`: only while this still is its route; raises StaleEpoch when a move has begun since."""
        with self.database.write() as connection:
            if route is not None:
                row = tables.route.c.account_id == route.account_id
                connection.execute(sa.select(tables.route.c.epoch).where(row).with_for_update())
                if routes.read(connection, route.account_id) != route:
                    raise StaleEpoch(f"the route of {address} changed; read it again")
            gone = tables.account.delete().where(tables.account.c.key == address.key)
            number = connection.execute(gone.returning(tables.account.c.id)).scalar_one_or_none()
            if number is None:
                raise NotFound(f"there is no account {address}")
            connection.execute(tables.share.delete().where(tables.share.c.grantee_id == number))

    # aliases

    def add_alias(self, source: str, targets: Sequence[Address]) -> Alias:
        """Targets must be in domains of ours. Raises AlreadyExists when the source is an alias already."""
        key, domain = alias_source(source)
        if not targets:
            raise InvalidInput(f"alias {key} needs at least one target")
        unique = list({target.key: target for target in targets}.values())
        with self.database.write() as connection:
            for name in {domain, *(target.domain for target in unique)}:
                self._need_domain(connection, name)
            found = sa.select(sa.literal(1)).where(tables.alias.c.source == key).limit(1)
            if connection.execute(found).first():
                raise AlreadyExists(f"alias {key} exists already; remove it first")
            bulk.put_aliases(connection, {key: unique})
        return Alias(key, tuple(unique))

    def aliases(self, domain: str | None = None) -> list[Alias]:
        columns = (tables.alias.c.source, tables.alias.c.target_local, tables.alias.c.target_domain)
        query = sa.select(*columns).order_by(tables.alias.c.source, tables.alias.c.position)
        if domain is not None:
            query = query.where(tables.alias.c.domain == domain_key(domain))
        found: dict[str, list[Address]] = {}
        with self.database.read() as connection:
            for source, local, at in connection.execute(query):
                found.setdefault(source, []).append(Address(local, at))
        return [Alias(source, tuple(targets)) for source, targets in found.items()]

    def remove_alias(self, source: str) -> None:
        key, _ = alias_source(source)
        with self.database.write() as connection:
            if not connection.execute(tables.alias.delete().where(tables.alias.c.source == key)).rowcount:
                raise NotFound(f"there is no alias {key}")

    # look-ups of the doors

    def resolve(self, address: Address) -> Resolution:
        with self.database.read() as connection:
            return resolution.resolve(connection, address)

    @staticmethod
    def login_key(name: str) -> str | None:
        """What `name` is looked up by, one for all spellings of an account; None for what can be nobody's."""
        local, separator, domain = name.rpartition("@")
        if (
            not separator or len(local) > MAX_LOCAL or not local.isprintable()
        ):  # PostgreSQL would refuse a NUL
            return None
        try:
            return Address(local, domain_key(domain)).key
        except InvalidInput:
            return None

    def login(self, name: str) -> Login | None:
        """The account that somebody who calls himself `name` would be, with its route; None for nobody. Never
        raises for odd names: they are nobody's."""
        key = self.login_key(name)
        if key is None:
            return None
        with self.database.read() as connection:
            row = connection.execute(_LOGIN, {"key": key}).one_or_none()
        if row is None:
            return None
        return to_login(*row)

    # routes

    def route(self, account_id: int) -> Route:
        with self.database.read() as connection:
            return routes.read(connection, account_id)

    def advance(
        self, route: Route, state: RouteState, *, home: Home | None = None, fence_deadline: float = 0.0
    ) -> Route:
        """One step of a route in a transaction of its own; see `routes.advance`."""
        with self.database.write() as connection:
            return routes.advance(
                connection, self.clock, route, state, home=home, fence_deadline=fence_deadline
            )

    # backends

    def add_backend(self, backend: Backend) -> None:
        with self._unique(f"backend {backend.name}"), self.database.write() as connection:
            values = {name: getattr(backend, name) for name in _BACKEND}
            connection.execute(tables.backend.insert().values(**values))

    def backend(self, name: str) -> Backend:
        for backend in self._backends(tables.backend.c.name == name):
            return backend
        raise NotFound(f"there is no backend {name}; known: mailplat migrate backend list")

    def backends(self) -> list[Backend]:
        return self._backends()

    def remove_backend(self, name: str) -> None:
        """Raises InvalidInput while an account lives there."""
        with self.database.write() as connection:
            homes = sa.select(sa.literal(1)).where(tables.route.c.home == str(BackendHome(name))).limit(1)
            if connection.execute(homes).first():
                raise InvalidInput(f"accounts still live on backend {name}; move them first")
            if not connection.execute(tables.backend.delete().where(tables.backend.c.name == name)).rowcount:
                raise NotFound(f"there is no backend {name}")

    def _backends(self, *conditions: Any) -> list[Backend]:
        columns = [tables.backend.c[name] for name in _BACKEND]
        query = sa.select(*columns).where(*conditions).order_by(tables.backend.c.name)
        with self.database.read() as connection:
            return [Backend(**row._mapping, limits=self._sources) for row in connection.execute(query)]

    def _account(self, condition: Any, name: str) -> Account:
        with self.database.read() as connection:
            row = connection.execute(_ACCOUNTS.where(condition)).one_or_none()
        if row is None:
            raise NotFound(f"there is no account {name}")
        return _to_account(*row)

    @staticmethod
    def _need_domain(connection: Connection, name: str) -> Domain:
        row = connection.execute(sa.select(tables.domain).where(tables.domain.c.name == name)).one_or_none()
        if row is None:
            raise NotFound(f"domain {name} is not ours; add it first: mailplat domain add {name}")
        return Domain(*row)

    @staticmethod
    def _unique(what: str) -> "_Unique":
        return _Unique(what)


class _Unique:
    """Turns the database's refusal of a second row with one key into AlreadyExists."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sa.exc.IntegrityError):
            raise AlreadyExists(f"{self._what} exists already") from error


def _to_account(account_id: int, local: str, domain: str, *rest: Any) -> Account:
    """From a row of _ACCOUNT, whose columns after the address are the fields of Account."""
    return Account(account_id, Address(local, domain), *rest)


def to_login(*row: Any) -> Login:
    return Login(_to_account(*row[: len(_ACCOUNT)]), routes.from_row(*row[len(_ACCOUNT) :]))
