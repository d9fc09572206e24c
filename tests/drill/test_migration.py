"""The short form of `make migration-drill`."""

import tempfile
from pathlib import Path

import pytest

from tests.drill.migration import MigrationDrill
from tests.drill.oracle import percentiles

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


def test_a_few_accounts_in_two_waves(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="migration-drill.") as folder:
        drill = MigrationDrill(
            Path(folder) / "stage",
            3,
            accounts=2,
            domains=2,
            waves=2,
            letters_each=4,
            seconds=0.5,
            hasty=True,
        )
        try:
            status = drill.run()
        finally:
            drill.close()
    assert status == 0, capsys.readouterr().out
    counts = drill.ledger.counts
    assert counts["accounts moved"] == 2
    assert min(counts["messages compared"], counts["resynchronised"], counts["POP3 polls"]) > 5
    assert len(drill.freezes) >= 2


def test_percentiles() -> None:
    assert percentiles([]) == {}
    assert percentiles([3.0, 1.0, 2.0]) == {"p50": 2.0, "p99": 3.0, "max": 3.0}
