"""What a command is: its name, where it is allowed, what may be sent while it runs. The registry is commands/."""

import functools
import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from mailplat.access.imap import commands
from mailplat.access.imap.refusal import Tagged
from mailplat.access.imap.request import Request, State
from mailplat.access.imap.session import Session

ANY = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
BEFORE_LOGIN = frozenset({State.NOT_AUTHENTICATED})
AFTER_LOGIN = frozenset({State.AUTHENTICATED, State.SELECTED})
SELECTED = frozenset({State.SELECTED})


@dataclass(frozen=True, slots=True)
class Command:
    """`run` writes the untagged replies and returns the tagged one; None when it has answered itself. Errors of
    `core.errors` and BadSyntax may escape it: refusal.py turns them into replies."""

    name: str
    run: Callable[[Session, Request], Awaitable[Tagged | None]]
    states: frozenset[State] = AFTER_LOGIN
    # RFC 3501 7.4.1: no EXPUNGE while FETCH, STORE or SEARCH runs; their UID twins and all others allow it.
    may_expunge: bool = True
    # A missing mailbox is the target of messages: NO [TRYCREATE].
    creates_messages: bool = False


def names_by_number(name: str) -> bool:
    """Whether the command names messages by sequence number: it has a twin that does so by UID. EXPUNGE has one too
    and names none."""
    return name != "EXPUNGE" and f"UID {name}" in registry()


@functools.cache
def registry() -> Mapping[str, Command]:
    """All commands by name: each module of commands/ has COMMANDS, a tuple."""
    found: dict[str, Command] = {}
    for entry in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{entry.name}")
        for command in module.COMMANDS:
            if command.name in found:
                raise ValueError(f"two modules of commands/ answer {command.name}")
            found[command.name] = command
    return found
