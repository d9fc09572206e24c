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
from mailplat.core.errors import InvalidInput, MailplatError, NotFound

DONE, FAILED, WRONG_USAGE, NOTHING_MATCHED = 0, 1, 2, 3


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mailplat", description="Mail platform for hosting providers.")
    parser.add_argument("--version", action="version", version=f"mailplat {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        if not module.name.startswith("_"):
            importlib.import_module(f"{__name__}.{module.name}").register(verbs)
    for plugin in sorted(entry_points(group="mailplat.commands"), key=lambda found: found.name):
        plugin.load()(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `mailplat`."""
    args = build_parser().parse_args(arguments)
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
    print(f"mailplat: {error}", file=sys.stderr)
    return status
