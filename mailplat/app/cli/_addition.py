"""`mailplat shard add`: one more shard, while everything runs."""

import argparse
import os
import re
from pathlib import Path

from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.placement import Placement
from mailplat.app.sections import ShardSection
from mailplat.app.settings import find, load
from mailplat.app.wiring import check_settings, open_platform
from mailplat.core import disk
from mailplat.core.errors import InvalidInput, Unavailable

# Part of homes, lanes and file names; TOML takes it without quotes.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)


def register(actions: Subparsers) -> None:
    parser = actions.add_parser(
        "add",
        help="one more shard, while everything runs",
        description="Makes the directory, writes [store.shards.NAME] at the end of the configuration file and "
        "changes nothing else there. Workers that run take it up with the first account that lives in it.",
    )
    parser.add_argument("name", metavar="NAME", help="a-z, 0-9 and -, at most 32")
    parser.add_argument("path", metavar="DIR", type=Path, help="empty or not there yet; on a local disk")
    parser.add_argument(
        "--weight", metavar="N", type=float, default=1.0, help="its share of new accounts; default: 1"
    )
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=add)


def add(args: argparse.Namespace) -> int:
    file = find(args.config).resolve()  # a link stays one: what it points to is changed
    before = load(file)
    path = args.path.absolute()
    if not _NAME.fullmatch(args.name):
        raise InvalidInput(f"{args.name!r}: a shard's name has a-z, 0-9 and -, at most 32, the first no -")
    if args.name in before.store.shards:
        raise InvalidInput(f"shard {args.name} is there: {before.store.shards[args.name].path}")
    for name, shard in before.store.shards.items():
        if path.resolve().is_relative_to(shard.path.resolve()) or shard.path.resolve().is_relative_to(
            path.resolve()
        ):
            raise InvalidInput(f"{path} and shard {name} at {shard.path}: one is inside the other")
    if not args.weight > 0:
        raise InvalidInput("--weight: more than 0")
    if path.is_dir() and any(entry.name != "lost+found" for entry in path.iterdir()):
        raise InvalidInput(f"{path} is not empty; name a directory that is, or one that is not there yet")
    trouble = Placement({args.name: ShardSection(path=path)}).condition(args.name).trouble
    if trouble:
        raise Unavailable(trouble)
    _append(file, _table(args.name, path, args.weight))
    with open_platform(str(file)) as platform:
        platform.store.shard(args.name)
    row = {"shard": args.name, "path": str(path), "weight": args.weight, "configuration": str(file)}
    return show([row], list(row), as_json=args.json)


def _table(name: str, path: Path, weight: float) -> str:
    # TOML's basic strings escape as JSON's do, except for DEL, which no path of ours needs.
    if any(not character.isprintable() for character in str(path)):
        raise InvalidInput(f"{str(path)!r}: a path with control characters")
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    lines = [f"\n[store.shards.{name}]", f'path = "{quoted}"']
    if weight != 1:
        lines.append(f"weight = {weight}")
    return "\n".join(lines) + "\n"


def _append(file: Path, table: str) -> None:
    """All or nothing, and only where the result is a configuration that can be read. Owner and mode stay."""
    status = file.stat()
    text = file.read_text()
    beside = file.with_name(f".{file.name}.new")
    with disk.failures(file):
        try:
            beside.write_text(text + ("" if text.endswith("\n") else "\n") + table)
            os.chmod(beside, status.st_mode & 0o7777)
            os.chown(beside, status.st_uid, status.st_gid)
            check_settings(load(beside))
            with open(beside, "rb") as written:
                os.fsync(written.fileno())
            os.replace(beside, file)
        finally:
            beside.unlink(missing_ok=True)
        disk.fsync_directory(file.parent, "shard.added")
