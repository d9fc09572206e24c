"""The home folder of a user on a mount, as Pigeonhole keeps it: scripts, which one is active, whom a vacation has
answered. Synchronous; nothing is written there.

    HOME/sieve/NAME.sieve      the scripts (sieve_dir)
    HOME/.dovecot.sieve        a link to the active one; or a script itself, which ManageSieve would call dovecot.orig
    HOME/.dovecot.lda-dupes    answers.py
(https://doc.dovecot.org/2.3/settings/pigeonhole/, src/lib-sieve/storage/file of Pigeonhole)
"""

import os
import stat
from pathlib import Path

from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.limits.sources import SourceLimits
from mailplat.sieve.scripts import Scripts
from migration.sources.maildir.location import Location
from migration.sources.maildir.tree import Mount, failures, open_file, read_all

_SUFFIX = ".sieve"
_ACTIVE = ".dovecot.sieve"
_ANSWERS = ".dovecot.lda-dupes"
# The name that Pigeonhole gives to an active script that is no link.
_ORIGINAL = "dovecot.orig"


class HomeFolder:
    def __init__(self, location: Location, account: str, limits: SourceLimits) -> None:
        """`location.home` is there. Raises Halt for an address that would lead out of its folder."""
        assert location.home is not None
        self._limits = limits
        self._mount = Mount.of(location.home, account, limits)
        self._home = location.home.path(account)
        self._sieve_mount, self._sieve = self._mount, self._home / "sieve"
        if location.sieve is not None:
            self._sieve_mount = Mount.of(location.sieve, account, limits)
            self._sieve = location.sieve.path(account)

    def scripts(self) -> Scripts:
        """Raises Unavailable, Halt."""
        self._check()
        found: dict[str, bytes] = {}
        for file in self._names():
            name = file.removesuffix(_SUFFIX)
            octets = _read(self._sieve_mount, self._sieve, file, self._limits.script)
            if octets is not None:
                found[name] = octets
        active = self._link()
        if active is None:
            original = _read(self._mount, self._home, _ACTIVE, self._limits.script)
            if original is None:
                return Scripts(found)
            return Scripts({**found, _ORIGINAL: original}, _ORIGINAL)
        if active not in found:
            raise Unavailable(f"{self._home / _ACTIVE} leads to no script in {self._sieve}; is that SIEVE=?")
        return Scripts(found, active)

    def answers(self) -> bytes | None:
        """None where there are none. Raises Unavailable, Halt."""
        self._check()
        return _read(self._mount, self._home, _ANSWERS, self._limits.answers)

    def _check(self) -> None:
        """A home that is not there is a mount that is not: every user who has mail there has one."""
        self._mount.check()
        try:
            with self._mount.folder(self._home):
                return
        except NotFound as error:
            raise Unavailable(f"{self._home}: no such folder; is that HOME=?") from error

    def _names(self) -> list[str]:
        try:
            names = [
                each
                for each in self._sieve_mount.names(self._sieve)
                if each.endswith(_SUFFIX) and not each.startswith(".")
            ]
        except NotFound:
            return []
        if len(names) > self._limits.scripts:
            raise Unavailable(f"{self._sieve}: more than {self._limits.scripts} scripts")
        for each in names:
            if any("\udc80" <= char <= "\udcff" for char in each):
                raise Unavailable(f"{self._sieve}: {each!r} is no name in UTF-8")
        return sorted(names)

    def _link(self) -> str | None:
        """The active script's name; None where there is no link. Where it leads is read and not followed: the server
        may know the folder by another path."""
        with self._mount.folder(self._home) as fd:
            try:
                if not stat.S_ISLNK(os.stat(_ACTIVE, dir_fd=fd, follow_symlinks=False).st_mode):
                    return None
                target = os.readlink(_ACTIVE, dir_fd=fd)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise Unavailable(f"{self._home / _ACTIVE}: {error.strerror or error}") from error
        leads_to = Path(target)
        if leads_to.parent.name != self._sieve.name or not leads_to.name.endswith(_SUFFIX):
            raise Unavailable(f"{self._home / _ACTIVE} leads to {target}, not into {self._sieve}; see SIEVE=")
        return leads_to.name.removesuffix(_SUFFIX)


def _read(mount: Mount, folder: Path, name: str, most: int) -> bytes | None:
    """None where there is none. Raises Unavailable, also for a link."""
    try:
        with mount.folder(folder) as fd, failures(folder / name):
            file, status = open_file(fd, name)
    except NotFound:
        return None
    try:
        with failures(folder / name):
            if status.st_size > most:
                raise Unavailable(f"{folder / name} has more than {most} octets")
            return read_all(file)
    finally:
        os.close(file)
