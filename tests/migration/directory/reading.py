"""Sources as a format reads them, and maps as Postfix does."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from migration.directory import formats
from migration.directory.entries import AccountEntry, AliasEntry, Entry, Remark

DOMAIN = "moving.test"


def read(folder: Path, name: str, text: str | bytes, **options: object) -> list[Entry]:
    (folder / "source").write_bytes(text.encode() if isinstance(text, str) else text)
    found = formats.find(name)
    return list(
        found.read(found.options.model_validate({"format": name, "file": "source", **options}), folder)
    )


def remarks(entries: list[Entry]) -> str:
    return "\n".join(f"{each.place}: {each.text}" for each in entries if isinstance(each, Remark))


def hashes(entries: list[Entry]) -> dict[str, str | None]:
    return {str(each.address): each.password_hash for each in entries if isinstance(each, AccountEntry)}


def quotas(entries: list[Entry]) -> dict[str, int | None]:
    return {str(each.address): each.quota for each in entries if isinstance(each, AccountEntry)}


def lists(entries: list[Entry]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}  # the first of each source holds
    for each in entries:
        if isinstance(each, AliasEntry):
            found.setdefault(each.source, [str(target) for target in each.targets])
    return found


def random_map(seed: int, keys: list[str], separator: str) -> str:
    """Lines as hands write them, and as they should not."""
    choose = random.Random(seed)

    def blank() -> str:
        return choose.choice([" ", "\t", "   ", " \t"])

    def target() -> str:
        name = choose.choice(["ada", "Bob", "carl", '"d d"', "e+x"])
        return f"{name}@{DOMAIN}"

    parts: list[str] = []
    for key in keys:
        values = [target() for _ in range(choose.randrange(1, 4))]
        text = choose.choice([key, key.upper(), key.title()]) + separator + blank()
        for at, value in enumerate(values):
            comma = "," if at + 1 < len(values) else choose.choice(["", "", " ", ","])
            broken = choose.choice(["", "", f"\n{blank()}", f"\n# comment\n{blank()}", f"\n\n{blank()}"])
            text += (broken if at else "") + value + comma + choose.choice(["", blank()])
        parts.append(text)
        parts.append(choose.choice(["", "# a comment", "  # an indented one", " ", "\t"]))
        if choose.random() < 0.2:
            parts.append(
                choose.choice([f"lonely{separator}", f'un"closed{separator} x@{DOMAIN}', "# x\n# y"])
            )
        if choose.random() < 0.2:
            parts.append(f"{choose.choice(keys)}{separator} late@{DOMAIN}")
    return "\n".join(parts) + choose.choice(["", "\n", "\n\n"])


def as_postfix_reads(folder: Path, tool: str, text: str) -> dict[str, str]:
    """All of a map, by the program that compiles it."""
    if shutil.which(tool, path="/usr/sbin:/usr/bin") is None:
        pytest.skip("Postfix is not installed")
    (folder / "main.cf").write_text("compatibility_level = 3.6\n")
    (folder / "map").write_text(text)
    for arguments in ([f"hash:{folder}/map"], ["-s", f"hash:{folder}/map"]):
        done = subprocess.run(
            [f"/usr/sbin/{tool}", "-c", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    pairs = [line.partition("\t") for line in done.stdout.splitlines()]
    # postalias prints keys with their colon, and adds three that are NIS's own.
    found = {key.removesuffix(":") if tool == "postalias" else key: value for key, _, value in pairs}
    nis = {"@", "YP_LAST_MODIFIED", "YP_MASTER_NAME"}
    return {key: value for key, value in found.items() if tool == "postmap" or key not in nis}
