"""A folder with a Debian in it, whose programs run by chroot: root only, and the package debootstrap."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SUITE = "bookworm"
# Until everything is downloaded and unpacked.
MAKE_S = 900.0
RUN_S = 60.0
START_S = 30.0

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}


class Tree:
    """`root`/NAME; what was made there once is used again."""

    def __init__(self, trees: Path, name: str, packages: Sequence[str]) -> None:
        self.root = trees / name
        made = self.root / "made"
        if not made.exists():
            shutil.rmtree(self.root, ignore_errors=True)
            trees.mkdir(parents=True, exist_ok=True)
            include = ",".join(packages)
            _run("debootstrap", "--variant=minbase", f"--include={include}", SUITE, str(self.root), _mirror())
            made.touch()

    @staticmethod
    def reason_to_skip() -> str:
        """Empty where one can be made."""
        if os.geteuid():
            return "not root"
        if shutil.which("debootstrap", path="/usr/sbin:/usr/bin") is None:
            return "the package debootstrap is not installed"
        return ""

    def run(self, *command: str, stdin: str = "") -> str:
        """A program of the tree, until it ends; its output. One that fails raises RuntimeError."""
        done = subprocess.run(
            ["chroot", str(self.root), *command],
            input=stdin,
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-1000:]} {done.stderr[-1000:]}")
        return done.stdout

    def spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        """A program of the tree that stays."""
        log = (self.root / "log").open("ab")
        with log:
            return subprocess.Popen(
                ["chroot", str(self.root), *command], env=_ENVIRONMENT, stdout=log, stderr=log
            )

    def configure(self, name: str, changes: Mapping[str, str]) -> None:
        """Lines KEY=value of a file in /etc; other lines stay."""
        path = self.root / "etc" / name
        lines = path.read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0] not in changes]
        path.write_text("\n".join([*kept, *(f"{key}={value}" for key, value in changes.items())]) + "\n")

    def empty(self, *names: str) -> None:
        """What is left in these folders of the run before."""
        for name in names:
            folder = self.root / name
            if folder.is_dir():
                for each in folder.iterdir():
                    shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()


def await_true(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not happen within {START_S:.0f} s")
        time.sleep(0.05)


def _mirror() -> str:
    """Where this machine has its packages from."""
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.is_file():
            for line in path.read_text().splitlines():
                words = line.split()
                for word in words[1:] if words and words[0] in ("deb", "URIs:") else []:
                    if word.startswith("http"):
                        return word
    raise RuntimeError("apt's sources name no mirror to install from")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAKE_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]} {done.stderr[-1000:]}")
