"""Where test data that is not part of the project lives: the folder `shared` beside the checkout, or the one
that MAILPLAT_SHARED names. Tests skip with a reason where it is absent."""

import os
from pathlib import Path

import pytest


def shared(name: str) -> Path:
    """The path of a file or folder of the shared data; skips the calling test when it is not there."""
    root = Path(os.environ.get("MAILPLAT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    path = root / name
    if not path.exists():
        pytest.skip(f"test data {name} is not here (set MAILPLAT_SHARED to the folder that has it)")
    return path
