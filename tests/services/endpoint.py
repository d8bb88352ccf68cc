"""A real S3 endpoint (versitygw) on loopback, and a proxy in front of it that makes trouble."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester-secret"}

PROGRAM = shutil.which("versitygw") or shutil.which(
    "versitygw", path=str(Path(__file__).parent.parent.parent / ".cache" / "bin")
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Endpoint:
    """versitygw over a folder; it can be killed and started again on the same port."""

    def __init__(self, folder: Path, bucket: str = "backup") -> None:
        self.folder = folder
        self.port = free_port()
        self.bucket = bucket
        (folder / "data" / bucket).mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM is not None
        environment = {**os.environ, "ROOT_ACCESS_KEY": "tester", "ROOT_SECRET_KEY": "tester-secret"}
        self._process = subprocess.Popen(
            [PROGRAM, "--port", f"127.0.0.1:{self.port}", "--quiet", "posix", str(self.folder / "data")],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = monotonic() + 20
        while monotonic() < until:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            sleep(0.05)
        raise RuntimeError("versitygw does not answer")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def url(self, port: int | None = None, prefix: str = "shop") -> str:
        return f"s3://{self.bucket}/{prefix}?endpoint=http://127.0.0.1:{port or self.port}&region=us-east-1"


@contextmanager
def running(folder: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(folder)
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.kill()


@dataclass
class Proxy:
    """Passes HTTP on to a port, with trouble where `plan` says so.

    `plan` holds words, taken one a request that carries (or asks for) an object: `503`, `429` (answered instead),
    `cut` (the connection ends before the answer), `truncate` (it ends in the middle of the answer's body).
    `delay` is waited before every request, in seconds.
    """

    target: int
    port: int = field(default_factory=free_port)
    delay: float = 0.0
    plan: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for serving in list(self._serving):
            serving.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        self._serving.add(me)
        try:
            while (head := await _head(reader)) is not None:
                body = await _body(reader, head)
                if not await self._answer(head, body, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(me)
            writer.close()

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        method, path = head.split(b" ", 2)[:2]
        line = f"{method.decode()} {path.decode()}"
        self.requests.append(line)
        await asyncio.sleep(self.delay)
        trouble = self.plan.pop(0) if self.plan and method in (b"PUT", b"GET") and b"/checks/" not in path else ""
        if trouble in ("503", "429"):
            writer.write(f"HTTP/1.1 {trouble} Slow Down\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return True
        if trouble == "cut":
            return False
        there, back = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 20)
        try:
            back.write(head.replace(b"\r\nExpect: 100-continue", b"") + body)
            await back.drain()
            answer = await _head(there)
            assert answer is not None
            content = b"" if method == b"HEAD" or answer.split(b" ")[1] == b"204" else await _body(there, answer)
        finally:
            back.close()
        if trouble == "truncate":
            writer.write(answer + content[: len(content) // 2])
            await writer.drain()
            return False
        writer.write(answer + content)
        await writer.drain()
        return True


async def _head(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return await reader.readexactly(int(value))
        if name.lower() == b"transfer-encoding":
            body = b""
            while True:
                size = await reader.readline()
                body += size + await reader.readexactly(int(size.split(b";")[0], 16) + 2)
                if int(size.split(b";")[0], 16) == 0:
                    return body
    return b""
