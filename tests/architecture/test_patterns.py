"""Regular expressions that every supported Python matches alike."""

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Python before 3.11.5 goes wrong where a whole group is repeated possessively (CPython issue 106052); Debian 12 has
# 3.11.2. A single character or class may be.
_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[^{}]*\}|\{\{.*?\}\})\+")


def _offenders(source: str) -> list[int]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [
        token.start[0]
        for token in tokens
        if token.type == tokenize.STRING and _POSSESSIVE_GROUP.search(token.string)
    ]


def test_no_group_is_repeated_possessively() -> None:
    files = [path for name in ("mailplat", "migration") for path in (ROOT / name).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): lines for path in files if (lines := _offenders(path.read_text()))}
    assert found == {}


def test_of_the_test() -> None:
    assert _offenders('A = rb"(?:,x)*+"\nB = rb"[a-z]*+(?:b)+"\nC = rf"(?:a){{{N},}}+"\n') == [1, 3]
