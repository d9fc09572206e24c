"""The rules of the house, as data, and a checker that reads imports with `ast` (docs/architecture.md)."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MAX_LINES = 400

# A room imports only from lower floors, and from itself.
FLOORS = {
    "mailplat.core": 0,
    "mailplat.bus": 0,
    "mailplat.wire": 1,
    "mailplat.filtering": 1,
    "mailplat.db": 1,
    "mailplat.directory": 2,
    "mailplat.queue": 2,
    "mailplat.sieve": 2,
    "mailplat.usage": 2,
    "mailplat.store": 3,
    "mailplat.admin": 3,
    "mailplat.delivery": 4,
    "mailplat.access": 4,
    "mailplat.ingress": 5,
    "mailplat.app": 6,
    "migration": 7,
}

# Neighbours on one floor that may use each other, one way.
NEIGHBOURS = {("mailplat.bus", "mailplat.core"), ("mailplat.filtering", "mailplat.wire")}

# A third-party package enters through one door.
DOORS = {
    "aiosmtpd": ("mailplat/ingress/",),
    "aioimaplib": ("migration/sources/imap.py",),
    "dkim": ("mailplat/filtering/mailauth/", "mailplat/delivery/signing.py"),
    "spf": ("mailplat/filtering/mailauth/",),
    "redis": ("mailplat/bus/redis.py",),
    "dbos": ("migration/workflows.py",),
    "alembic": ("mailplat/db/schema/",),
    "psycopg": ("mailplat/db/engine.py",),
    "fastapi": ("mailplat/admin/",),
    "uvicorn": ("mailplat/admin/",),
}


@dataclass(frozen=True)
class Import:
    file: Path
    line: int
    module: str  # dotted name of what is imported


def imports(file: Path, root: Path) -> list[Import]:
    """Every import statement of a file, those inside functions and `if TYPE_CHECKING` too."""
    package = file.relative_to(root).with_suffix("").parts
    return [Import(file, line, module) for line, module in _names(file.read_text(), package)]


@cache  # a checkout is read for floors and again for cycles, its copies in tests once more
def _names(text: str, package: tuple[str, ...]) -> list[tuple[int, str]]:
    """(line, dotted name) of what is imported."""
    found = []
    for node in ast.walk(ast.parse(text, "/".join(package))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: -node.level] if node.level else ()
            module = ".".join([*base, node.module] if node.module else base)
            # `from a import b` may name the module a.b
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found


def room(module: str) -> str | None:
    """The room that a dotted name is in; None outside the house."""
    for name in FLOORS:
        if module == name or module.startswith(name + "."):
            return name
    return None


def sources(root: Path) -> list[Path]:
    return sorted([*root.glob("mailplat/**/*.py"), *root.glob("migration/**/*.py")])


def violations(root: Path) -> list[str]:
    """What breaks the rules in the checkout at `root`, one line each: FILE:LINE: what and the rule."""
    found = []
    for file in sources(root):
        name = file.relative_to(root).as_posix()
        lines = len(file.read_text().splitlines())
        if lines > MAX_LINES:
            found.append(f"{name}: {lines} lines, the limit is {MAX_LINES}; split it by what it does")
        here = room(name.removesuffix(".py").replace("/", "."))
        for item in imports(file, root):
            place = f"{name}:{item.line}"
            there = room(item.module)
            if (
                here
                and there
                and here != there
                and (here, there) not in NEIGHBOURS
                and FLOORS[there] >= FLOORS[here]
            ):
                found.append(
                    f"{place}: {here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]})"
                )
            package = item.module.partition(".")[0]
            if package in DOORS and not name.startswith(DOORS[package]):
                found.append(f"{place}: {package} may be imported only in {' and '.join(DOORS[package])}")
            if item.module.startswith("sqlalchemy") and item.module.endswith("create_engine"):
                found.append(f"{place}: engines are made only in mailplat/db/engine.py")
    return found + cycles(root)


def cycles(root: Path) -> list[str]:
    """Modules that import each other in a ring, also inside one room."""
    files = {
        file.relative_to(root).with_suffix("").as_posix().replace("/", "."): file for file in sources(root)
    }
    names = {name.removesuffix(".__init__"): file for name, file in files.items()}
    graph = {name: _edges(name, file, root, names) for name, file in names.items()}
    done: set[str] = set()
    found: list[str] = []

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append("cycle: " + " -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in sorted(graph[name]):
                visit(target, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def _edges(name: str, file: Path, root: Path, names: dict[str, Path]) -> set[str]:
    targets = set()
    for item in imports(file, root):
        target = item.module if item.module in names else item.module.rpartition(".")[0]
        if target in names and target != name:
            targets.add(target)
    return targets
