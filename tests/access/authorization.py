"""A small authorization server on loopback, over HTTP or HTTPS: introspection (RFC 7662)."""

import asyncio
import json
import ssl
import urllib.parse
from asyncio import StreamReader, StreamWriter
from typing import Any

import h11


class Authorization:
    """`tokens`: what is answered for each; those that are not there are not active. `asked` has what came."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self.body: bytes | None = None  # in the place of an answer
        self.silent = False
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        connection, form, headers, target = h11.Connection(h11.SERVER), b"", {}, ""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                target = f"{event.method.decode()} {event.target.decode()}"
            elif isinstance(event, h11.Data):
                form += event.data
            else:
                break
        pairs = dict(urllib.parse.parse_qsl(form.decode()))
        self.asked.append({**pairs, "target": target, "authorization": headers.get("authorization", "")})
        if self.silent:
            await reader.read()  # until the client has had enough
            writer.transport.abort()
            return
        answer = self.tokens.get(pairs.get("token", ""), {"active": False})
        body = json.dumps(answer).encode() if self.body is None else self.body
        length = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        for reply in (
            h11.Response(status_code=self.status, headers=length),
            h11.Data(body),
            h11.EndOfMessage(),
        ):
            writer.write(connection.send(reply) or b"")
        writer.close()
