"""The HTTP door: FastAPI in one uvicorn server that lives inside the worker's event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from mailplat.admin import metrics
from mailplat.admin.health import Check, Health

# Open connections at once; beyond, 503. Probes and scrapers are a handful; this leaves room for a console.
MAX_CONNECTIONS = 200
# Seconds that an idle connection stays open.
KEEP_ALIVE = 15
# Seconds that requests may take to end after a stop.
GRACE = 5
# Octets of a request line with its header fields.
MAX_REQUEST_HEAD = 16 * 1024


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The worker owns the signals: uvicorn would swallow its SIGTERM and leave mail sessions undrained."""
        yield


class AdminServer:
    """`checks`: name -> what must return for `/readyz` to be 200, run on this event loop."""

    def __init__(self, checks: Mapping[str, Check], hostname: str, *, health: Health | None = None) -> None:
        self.health = health or Health(checks)
        self.hostname = hostname
        self.app = self._make_app()

    async def serve(self, sock: socket.socket, stop: asyncio.Event) -> None:
        """On a bound socket until `stop` is set, then until running requests have ended, GRACE seconds at most.
        Closes the socket."""
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http="h11",
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
            h11_max_incomplete_event_size=MAX_REQUEST_HEAD,
        )
        server = _Server(config)
        watching = asyncio.create_task(_stop(server, stop))
        try:
            await server.serve(sockets=[sock])
        except asyncio.CancelledError:
            if server.started:
                await server.shutdown(sockets=[sock])
            raise
        finally:
            watching.cancel()

    def _make_app(self) -> FastAPI:
        app = FastAPI(title="mailplat", docs_url=None, redoc_url=None, openapi_url=None)
        for path, answer in (
            ("/healthz", self._alive),
            ("/readyz", self._ready),
            ("/metrics", self._metrics),
        ):
            app.add_api_route(path, answer, methods=["GET", "HEAD"], response_model=None)
        return app

    async def _alive(self) -> Response:
        return PlainTextResponse("ok\n", headers=_FRESH)

    async def _ready(self) -> Response:
        report = await self.health.report()
        content = {
            "ready": report.ready,
            "hostname": self.hostname,
            "checks": {name: report.failures.get(name, "ok") for name in self.health.names},
        }
        return JSONResponse(content, 200 if report.ready else 503, headers=_FRESH)

    async def _metrics(self) -> Response:
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


_FRESH = {"Cache-Control": "no-store"}


async def _stop(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
