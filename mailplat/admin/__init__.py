"""The platform as its operators see it: is it alive, can it work, what has it done.

    server    the HTTP door: FastAPI in one uvicorn server inside the worker's event loop
    health    readiness: named checks, run together, remembered for a second
    metrics   what is counted, in Prometheus' words

On the wire (CONTRACT, HTTP): `/healthz` 200 while the process lives; `/readyz` 200 when every check passes, else 503
with a JSON object that names what fails; `/metrics` in the text format of Prometheus.

Invariants: a check that hangs counts as failed; a scrape or a probe never waits for more than one run of the checks;
uvicorn never touches the process's signal handlers.

What must never happen: text of an unexpected exception in an answer (it may hold anything), or a 200 from `/readyz`
that is older than a second.
"""

from mailplat.admin.health import Check, Health, Report

__all__ = ["Check", "Health", "Report"]
