"""The command line. One file a verb: each module in this folder has `register(subparsers)`, which adds its
parser and sets `run`, a function from the parsed arguments to an exit status. The folder is the registry;
other packages add theirs through the entry point group `mailplat.commands`.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing matched. Errors go to stderr, one line, no traceback.
"""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from mailplat import __version__
from mailplat.app.console import guard_terminal
from mailplat.core.errors import InvalidInput, MailplatError, NotFound
from mailplat.core.visible import visible

DONE, FAILED, WRONG_USAGE, NOTHING_MATCHED = 0, 1, 2, 3


def build_parser(verb: str = "") -> argparse.ArgumentParser:
    """With all verbs; or with `verb` alone, where there is one of that name: a command that loads the doors of
    every room takes seconds to start."""
    parser = argparse.ArgumentParser(prog="mailplat", description="Mail platform for hosting providers.")
    parser.add_argument("--version", action="version", version=f"mailplat {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))
    plugins = {found.name: found for found in entry_points(group="mailplat.commands")}
    for name in [verb] if verb in names else names if verb not in plugins else []:
        importlib.import_module(f"{__name__}.{name}").register(verbs)
    for name in [verb] if verb in plugins else sorted(plugins) if verb not in names else []:
        plugins[name].load()(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `mailplat`."""
    guard_terminal()
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = build_parser(words[0] if words else "").parse_args(words)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except NotFound as error:
        return _complain(error, NOTHING_MATCHED)
    except InvalidInput as error:
        return _complain(error, WRONG_USAGE)
    except MailplatError as error:
        return _complain(error, FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", FAILED)
    except BrokenPipeError:  # the reader of our output went away: `mailplat account list | head`
        sys.stderr.close()
        return FAILED


def _complain(error: object, status: int) -> int:
    print(f"mailplat: {visible(str(error))}", file=sys.stderr)
    return status
