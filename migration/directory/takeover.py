"""One takeover of a legacy platform's directory, from its sources to ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.errors import AlreadyExists
from mailplat.db.engine import Database
from mailplat.directory import Directory, audit, bulk
from mailplat.directory import tables as platform
from migration import tables as moves
from migration.directory import accounts, origins
from migration.directory.accounts import Accounts
from migration.directory.aliases import Aliases
from migration.directory.belonging import Belonging
from migration.directory.description import Description
from migration.directory.gone import Gone, Removal
from migration.directory.report import ADDED, Report
from migration.directory.staging import BATCH, Staging, staging
from migration.ledger import CLOSED


class Takeover:
    """Synchronous. `folder`: where the sources are staged; `who`: whom the audit log names; `pause`: called between
    two batches, ends it by raising."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        folder: Path,
        *,
        who: str,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._folder = folder
        self._who = who
        self._pause = pause

    def run(self, description: Description, report: Report, removal: Removal, *, write: bool) -> None:
        """`write` False: nothing is changed, and told what would be. Raises NotFound for an unknown backend,
        InvalidInput and Unavailable where a source cannot be read (then nothing was changed), Brake (then nothing was
        removed, all else is done), AlreadyExists and Unavailable where ours cannot be written: run it again."""
        Directory(self._database, self._clock).backend(description.backend)
        with staging(self._folder, description, report.remark) as staged:
            staged.fill(self._pause)
            disk.step("directory.staged")
            made = self._domains(staged, report, write)
            closed = self._closed()
            self._accounts(description, staged, report, closed, made, write)
            self._aliases(description, staged, report, closed, made, write)
            gone = Gone(
                self._database,
                self._clock,
                description,
                staged,
                closed=closed,
                who=self._who,
                pause=self._pause,
            )
            gone.look(report, removal, write=write)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Raises AlreadyExists where another process has made the same at this moment; the batch is not kept."""
        try:
            with self._database.write() as connection:
                yield connection
        except sa.exc.IntegrityError as error:
            raise AlreadyExists(
                "what is taken over was changed by another process meanwhile; run it again"
            ) from error

    def _closed(self) -> frozenset[str]:
        query = sa.select(moves.plan.c.domain).where(moves.plan.c.state == CLOSED)
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def _domains(self, staged: Staging, report: Report, write: bool) -> frozenset[str]:
        """Those that were not ours."""
        named = staged.domains()
        made: list[str] = []
        for start in range(0, len(named), BATCH):
            some = dict(named[start : start + BATCH])
            with self._database.read() as connection:
                missing = sorted(some.keys() - bulk.known_domains(connection, some))
            if write and missing:
                rows = [{"name": name, "quota": some[name] or 0} for name in missing]
                lines: list[audit.Line] = [
                    ("directory.domain.add", name, {}, {"quota": some[name] or 0}) for name in missing
                ]
                with self._writing() as connection:
                    connection.execute(platform.domain.insert(), rows)
                    audit.write(connection, self._clock.now(), self._who, lines)
                disk.step("directory.domains")
            for name in missing:
                report.row(ADDED, "domain", name, f"quota {some[name] or 0}")
            made += missing
            self._pause()
        return frozenset(made)

    def _accounts(
        self,
        description: Description,
        staged: Staging,
        report: Report,
        closed: frozenset[str],
        made: frozenset[str],
        write: bool,
    ) -> None:
        belonging = Belonging(description.backend, description.domains, made)
        compared = Accounts(description.backend, origins.Digester(self._database), closed, made, belonging)
        for batch in staged.accounts():
            with self._database.read() as connection:
                work = compared.compare(connection, batch)
            if write and not work.is_empty:
                with self._writing() as connection:
                    work = compared.compare(connection, batch)  # what another has changed in between
                    compared.apply(connection, work)
                    audit.write(connection, self._clock.now(), self._who, work.lines)
                disk.step("directory.accounts")
            accounts.tell(work, report)
            self._pause()

    def _aliases(
        self,
        description: Description,
        staged: Staging,
        report: Report,
        closed: frozenset[str],
        made: frozenset[str],
        write: bool,
    ) -> None:
        belonging = Belonging(description.backend, description.domains, made)
        compared = Aliases(description.backend, closed, staged.uncaught, made, belonging)
        for batch in staged.aliases():
            with self._database.read() as connection:
                work = compared.compare(connection, batch)
            if write and not work.is_empty:
                with self._writing() as connection:
                    work = compared.compare(connection, batch)
                    compared.apply(connection, work)
                    audit.write(connection, self._clock.now(), self._who, work.lines)
                disk.step("directory.aliases")
            for row in work.rows:
                report.row(row.change, row.what, row.subject, row.detail)
            for remark in work.remarks:
                report.remark(remark)
            if work.closed:
                report.count("of a closed domain", "alias", work.closed)
            self._pause()
