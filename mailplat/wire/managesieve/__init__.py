"""ManageSieve (RFC 5804) without I/O: octets to lines of values, and values to octets.

    names       names of scripts (1.6)
    lines       what was received, line by line, literals inside (4)
    responses   what a server answers
    rendering   strings, and the commands of a client

A line ends with CRLF outside of a literal; a quoted string holds no line end (4, QUOTED-CHAR), so the end of a line
can be found without reading it.
"""

from mailplat.wire.managesieve.lines import Atom, BadLine, Lines, Value, parse
from mailplat.wire.managesieve.names import check_name
from mailplat.wire.managesieve.rendering import command, string
from mailplat.wire.managesieve.responses import Completion, capabilities, completion, listed

__all__ = [
    "Atom",
    "BadLine",
    "Completion",
    "Lines",
    "Value",
    "capabilities",
    "check_name",
    "command",
    "completion",
    "listed",
    "parse",
    "string",
]
