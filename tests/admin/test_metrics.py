import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailplat.admin import metrics


def samples() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_is_counted_is_shown() -> None:
    metrics.messages.labels("smtp", "accepted").inc()
    metrics.message_seconds.labels("smtp").observe(0.004)
    seen = samples()
    assert seen["mailplat_messages_total", (("outcome", "accepted"), ("protocol", "smtp"))] >= 1
    assert seen["mailplat_message_seconds_bucket", (("le", "0.005"), ("protocol", "smtp"))] >= 1
    assert ("process_resident_memory_bytes", ()) in seen or sys.platform != "linux"


def test_a_watched_figure_is_read_at_each_scrape() -> None:
    figure = iter([3.0, 5.0])
    forget = metrics.watch("mailplat_test_figure", "of this test", lambda: next(figure))
    try:
        assert samples()["mailplat_test_figure", ()] == 3.0
        assert samples()["mailplat_test_figure", ()] == 5.0
    finally:
        forget()
    assert ("mailplat_test_figure", ()) not in samples()


def test_a_name_is_watched_once() -> None:
    forget = metrics.watch("mailplat_test_twice", "of this test", lambda: 0.0)
    try:
        with pytest.raises(ValueError, match="mailplat_test_twice"):
            metrics.watch("mailplat_test_twice", "of this test", lambda: 0.0)
    finally:
        forget()


def test_processes_that_share_a_folder_answer_for_all(tmp_path: Path) -> None:
    count = "from mailplat.admin import metrics; metrics.logins.labels('imap', 'served').inc(2)"
    show = f"{count}; print(metrics.exposition().decode())"
    environment = {**os.environ, metrics.SHARED_FOLDER: str(tmp_path)}
    subprocess.run([sys.executable, "-c", count], env=environment, check=True)
    shown = subprocess.run(
        [sys.executable, "-c", show], env=environment, check=True, capture_output=True, text=True
    )
    assert 'mailplat_logins_total{outcome="served",protocol="imap"} 4.0' in shown.stdout
