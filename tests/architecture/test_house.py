"""The architecture test, and the test of the test: a forbidden import in a copy must be found."""

import shutil
from pathlib import Path

import pytest

from tests.architecture.house import violations

ROOT = Path(__file__).resolve().parents[2]


def test_the_house_keeps_its_rules() -> None:
    assert violations(ROOT) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("mailplat", "migration"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        (
            "mailplat/core/clock.py",
            "from mailplat.store import types",
            "mailplat.core (floor 0) imports mailplat.store",
        ),
        (
            "mailplat/store/__init__.py",
            "import mailplat.access",
            "mailplat.store (floor 3) imports mailplat.access",
        ),
        (
            "mailplat/store/__init__.py",
            "from mailplat import delivery",
            "imports mailplat.delivery (floor 4)",
        ),
        (
            "mailplat/db/engine.py",
            "import migration.cli",
            "mailplat.db (floor 1) imports migration (floor 7)",
        ),
        (
            "mailplat/queue/__init__.py",
            "from mailplat.directory import tables",
            "floor 2) imports mailplat.directory",
        ),
        (
            "mailplat/access/__init__.py",
            "import aiosmtpd.smtp",
            "aiosmtpd may be imported only in mailplat/ingress/",
        ),
        (
            "mailplat/bus/memory.py",
            "import redis.asyncio",
            "redis may be imported only in mailplat/bus/redis.py",
        ),
        ("migration/role.py", "from aioimaplib import aioimaplib", "only in migration/sources/imap.py"),
        ("mailplat/queue/__init__.py", "from sqlalchemy import create_engine", "engines are made only in"),
        (
            "mailplat/core/clock.py",
            "def f() -> None:\n    import mailplat.app",
            "core (floor 0) imports mailplat.app",
        ),
        (
            "mailplat/core/reply.py",
            "from mailplat.core.outcome import Result",
            "cycle: mailplat.core.outcome",
        ),
        ("mailplat/core/clock.py", "# x\n" * 400, "lines, the limit is 400"),
    ],
)
def test_a_broken_rule_is_found(copy: Path, file: str, line: str, complaint: str) -> None:
    with open(copy / file, "a") as target:
        target.write(f"\n{line}\n")
    found = violations(copy)
    assert any(complaint in text for text in found), found


def test_relative_imports_are_followed(copy: Path) -> None:
    (copy / "mailplat/core/sideways.py").write_text("from ..store import types\n")
    assert any("core (floor 0) imports mailplat.store" in text for text in violations(copy))
