"""Over real HTTP on loopback."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailplat.admin import Health
from mailplat.admin.server import MAX_REQUEST_HEAD, AdminServer
from mailplat.core.errors import Unavailable


class Running:
    def __init__(self, port: int, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.port = port
        self.stop = stop
        self.task = task

    async def ask(self, path: str, method: str = "GET") -> tuple[int, bytes, http.client.HTTPMessage]:
        def exchange() -> tuple[int, bytes, http.client.HTTPMessage]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request(method, path)
            response = connection.getresponse()
            octets = response.read()
            connection.close()
            return response.status, octets, response.headers

        return await asyncio.to_thread(exchange)

    async def speak(self, octets: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(octets)
        answer = await reader.read()
        writer.close()
        return answer


@contextlib.asynccontextmanager
async def running(server: AdminServer) -> AsyncIterator[Running]:
    sock = socket.create_server(("127.0.0.1", 0))
    stop = asyncio.Event()
    task = asyncio.create_task(server.serve(sock, stop))
    try:
        yield Running(sock.getsockname()[1], stop, task)
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert sock.fileno() == -1, "the socket is closed"


async def works() -> None: ...


async def fails() -> None:
    raise Unavailable("shard s1: disk is full")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_live_process_says_so_whatever_fails(method: str) -> None:
    async with running(AdminServer({"shard": fails}, "mx.example.net")) as server:
        status, body, headers = await server.ask("/healthz", method)
        assert (status, body) == (200, b"ok\n" if method == "GET" else b"")
        assert headers["Cache-Control"] == "no-store"
        assert "Server" not in headers


async def test_ready_when_every_check_passes() -> None:
    async with running(AdminServer({"database": works, "bus": works}, "mx.example.net")) as server:
        status, body, headers = await server.ask("/readyz")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "ready": True,
        "hostname": "mx.example.net",
        "checks": {"database": "ok", "bus": "ok"},
    }


async def test_not_ready_names_what_fails() -> None:
    async with running(AdminServer({"database": works, "shard s1": fails}, "mx.example.net")) as server:
        status, body, _ = await server.ask("/readyz")
        assert (await server.ask("/readyz", "HEAD"))[0] == 503
    assert status == 503
    assert json.loads(body)["checks"] == {"database": "ok", "shard s1": "Unavailable: shard s1: disk is full"}


async def test_a_check_that_recovers_is_seen() -> None:
    broken = True

    async def moody() -> None:
        if broken:
            raise Unavailable("not yet")

    checks = {"moody": moody}
    async with running(AdminServer(checks, "mx", health=Health(checks, remembered=0))) as server:
        assert (await server.ask("/readyz"))[0] == 503
        broken = False
        assert (await server.ask("/readyz"))[0] == 200


async def test_metrics_are_what_prometheus_reads() -> None:
    async with running(AdminServer({"database": works}, "mx.example.net")) as server:
        await server.ask("/readyz")
        status, body, headers = await server.ask("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"mailplat_ready", "mailplat_messages", "mailplat_logins"} <= names


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 404), ("/docs", "GET", 404), ("/healthz", "POST", 405)]
)
async def test_what_is_not_there(path: str, method: str, status: int) -> None:
    async with running(AdminServer({}, "mx")) as server:
        assert (await server.ask(path, method))[0] == status


async def test_nonsense_and_endless_heads_are_refused() -> None:
    async with running(AdminServer({}, "mx")) as server:
        assert (await server.speak(b"EHLO there\r\n\r\n")).startswith(b"HTTP/1.1 400")
        endless = b"GET /healthz HTTP/1.1\r\nX: " + b"a" * (MAX_REQUEST_HEAD + 1)
        assert (await server.speak(endless)).startswith(b"HTTP/1.1 400")
        assert (await server.ask("/healthz"))[0] == 200


async def test_the_signals_stay_the_workers() -> None:
    """uvicorn would catch SIGTERM, stop itself alone, and leave the rest running."""
    loop = asyncio.get_running_loop()
    caught = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, caught.set)
    try:
        async with running(AdminServer({}, "mx")) as server:
            await server.ask("/healthz")
            os.kill(os.getpid(), signal.SIGTERM)
            await caught.wait()
            assert (await server.ask("/healthz"))[0] == 200, "it stops when told, not by itself"
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_a_stop_lets_a_request_in_progress_finish() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await release.wait()

    async with running(AdminServer({"slow": slow}, "mx")) as server:
        request = asyncio.create_task(server.ask("/readyz"))
        await begun.wait()
        server.stop.set()
        release.set()
        assert (await request)[0] == 200
        await server.task
        with pytest.raises(ConnectionRefusedError):
            await server.ask("/healthz")


async def test_cancelling_closes_the_port() -> None:
    async with running(AdminServer({}, "mx")) as server:
        await server.ask("/healthz")
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        with pytest.raises(ConnectionRefusedError):
            await server.ask("/healthz")
