"""What the platform counts. A door imports this module: `metrics.messages.labels("smtp", "accepted").inc()`.

Several processes on one machine: the supervisor sets PROMETHEUS_MULTIPROC_DIR to an empty folder before a worker
imports this, and whichever worker is scraped then answers for all of them.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

# Seconds from a durable write on a fast disk to the longest wait that an SMTP client bears.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

registry = CollectorRegistry()

messages = Counter(
    "mailplat_messages",
    "Messages that came to their final dot, by protocol (smtp, lmtp) and outcome (accepted, deferred, refused)",
    ("protocol", "outcome"),
    registry=registry,
)
message_seconds = Histogram(
    "mailplat_message_seconds",
    "From the final dot to the reply",
    ("protocol",),
    buckets=_SECONDS,
    registry=registry,
)
logins = Counter(
    "mailplat_logins",
    "Logins, by protocol (imap, pop3) and outcome (served, forwarded, refused, unavailable)",
    ("protocol", "outcome"),
    registry=registry,
)
carried = Counter(
    "mailplat_sessions_carried",
    "IMAP sessions that stayed connected while their account was fenced, by where they went on (shard, backend)",
    ("to",),
    registry=registry,
)
dropped = Counter(
    "mailplat_sessions_dropped",
    "IMAP sessions that heard BYE because their account was fenced, by why (busy, doubt, home)",
    ("reason",),
    registry=registry,
)
throttled = Counter(
    "mailplat_logins_throttled",
    "Failed logins that were answered late, by whose limit was passed (name, address, network), and connections that "
    "were refused because their network had too many that were not logged in (connections)",
    ("cause",),
    registry=registry,
)
attempts = Counter(
    "mailplat_delivery_attempts",
    "Attempts of the queue to deliver, by outcome for one recipient (delivered, deferred, failed)",
    ("outcome",),
    registry=registry,
)
quota_warnings = Counter(
    "mailplat_quota_warnings",
    "Levels of a quota that were reached and told of, by scope (account, domain) and level in percent",
    ("scope", "level"),
    registry=registry,
)
ready = Gauge(
    "mailplat_ready",
    "1 while a readiness check passes, 0 while it fails; as of the last time that somebody asked",
    ("check",),
    registry=registry,
    multiprocess_mode="mostrecent",
)


class _Reading(Collector):
    """A figure that is read when it is asked for."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name = name
        self._text = text
        self._read = read

    def describe(self) -> list[GaugeMetricFamily]:
        """What the registry looks at to refuse a second of the same name, without reading the figure."""
        return [GaugeMetricFamily(self._name, self._text)]

    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(self._name, self._text, value=self._read())]


def watch(name: str, text: str, read: Callable[[], float]) -> Callable[[], None]:
    """Show a figure of this process that something else keeps: hits of a cache, lost hints, open sessions. `read`
    must be quick and is called at each scrape. Returns what takes it out again."""
    reading = _Reading(name, text, read)
    _readings.register(reading)
    return lambda: _readings.unregister(reading)


class _Readings(Collector):
    """The same for several things of one kind, with their name as a label."""

    def __init__(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._read = read

    def describe(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(self._name, self._text, labels=[self._label])]

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for value, figure in self._read().items():
            family.add_metric([value], figure)
        return [family]


def watch_each(
    name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
) -> Callable[[], None]:
    """As `watch`, for each of several: `read` returns a figure by the value of `label`."""
    reading = _Readings(name, text, label, read)
    _readings.register(reading)
    return lambda: _readings.unregister(reading)


_readings = CollectorRegistry()
PlatformCollector(registry=_readings)
ProcessCollector(registry=_readings)


def share(folder: Path) -> None:
    """In the parent of several workers, before the first starts: they count together in this folder, from zero."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    os.environ[SHARED_FOLDER] = str(folder)


def forget(pid: int) -> None:
    """A worker died: its gauges go, what it counted stays."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def exposition() -> bytes:
    """Everything in the text format 0.0.4. Counters and histograms are those of all processes where they share a
    folder; figures of `watch` and of the process are this one's."""
    counted = registry
    if SHARED_FOLDER in os.environ:
        counted = CollectorRegistry()
        multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    return generate_latest(counted) + generate_latest(_readings)
