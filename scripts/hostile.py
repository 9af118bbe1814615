"""Clients that mean harm, or are broken, each in a loop until told to stop: what the API must bound.

Every attack counts how often it was made, and fails with `Harm` when the server does not end it as it should.
"""

import asyncio
import json
import random
import socket
import struct

# How long the server may take to end a connection that only costs it something: its own limits are shorter.
PATIENCE = 45.0
# Most bytes of a body, or of headers, that may leave this side before the server ends the connection: its limits, and
# what lies in the buffers of two sockets.
MOST = 32 << 20


class Harm(Exception):
    """The server did not bound what a client did."""


async def _open(port: int, receive_buffer: int | None = None):
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=sock, limit=1 << 16)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection as a machine that crashed does."""
    if not writer.transport.is_closing():
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _ended(reader: asyncio.StreamReader, what: str) -> bytes:
    """What comes until the server ends the connection."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionError:
        return b""
    except TimeoutError:
        raise Harm(f"{what}: the server keeps the connection for more than {PATIENCE:.0f} s") from None


async def _flood(port: int, head: bytes, piece: bytes, what: str) -> None:
    """Sends without end. The server must answer with an error or hang up, and take no more than `MOST`."""
    reader, writer = await _open(port)
    sent = 0
    try:
        writer.write(head)
        while sent <= MOST:
            writer.write(piece)
            sent += len(piece)
            await asyncio.wait_for(writer.drain(), PATIENCE)
        raise Harm(f"{what}: {sent} bytes were taken")
    except TimeoutError:
        raise Harm(f"{what}: the server neither reads nor ends the connection") from None
    except ConnectionError:
        pass
    finally:
        _reset(writer)


HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: worker\r\n"


async def half_open(port: int) -> None:
    """Connects, says nothing or half of something, and waits."""
    reader, writer = await _open(port)
    writer.write(random.choice([b"", b"POST /v1/comp", HEAD, HEAD + b"content-length: 100\r\n\r\n{"]))
    try:
        await _ended(reader, "half-open connection")
    finally:
        _reset(writer)


async def vanish(port: int) -> None:
    """Asks for a long answer and is gone."""
    reader, writer = await _open(port)
    body = json.dumps({"model": "aria-demo", "prompt": "Once", "max_tokens": 200, "stream": True}).encode()
    writer.write(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    await asyncio.sleep(random.random())
    _reset(writer)


async def garbage(port: int) -> None:
    """Bytes that are no HTTP."""
    reader, writer = await _open(port)
    try:
        writer.write(random.randbytes(random.randrange(1, 4096)) + b"\r\n\r\n")
        answer = await _ended(reader, "garbage")
        if answer and not answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")):
            raise Harm(f"garbage was answered with {answer[:60]!r}")
    except ConnectionError:
        pass
    finally:
        _reset(writer)


async def huge_body(port: int) -> None:
    """100 MB, announced."""
    await _flood(port, HEAD + b"content-length: 104857600\r\n\r\n", b" " * 65536, "body of 100 MB")


async def endless_body(port: int) -> None:
    """A body in chunks that does not end."""
    await _flood(port, HEAD + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n", "endless body")


async def endless_headers(port: int) -> None:
    """Headers that do not end."""
    await _flood(port, HEAD, b"x-filler: " + b"a" * 1000 + b"\r\n", "endless headers")


async def slow_reader(port: int) -> None:
    """Asks for a large stream and reads none of it."""
    reader, writer = await _open(port, receive_buffer=4096)
    body = {"model": "aria-demo", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "temperature": 1.5}
    body = json.dumps({**body, "logprobs": True, "top_logprobs": 20, "max_tokens": 200}).encode()
    path = HEAD.replace(b"completions", b"chat/completions")
    writer.write(path + b"content-length: %d\r\n\r\n" % len(body) + body)
    writer.transport.pause_reading()
    await asyncio.sleep(PATIENCE)
    _reset(writer)


ATTACKS = [half_open, vanish, garbage, huge_body, endless_body, endless_headers, slow_reader]


async def run(port: int, stop: asyncio.Event, each: int, pause: float) -> dict[str, int]:
    """All attacks at once, `each` of a kind, until `stop`: how often each was made."""
    counts = {attack.__name__: 0 for attack in ATTACKS}

    async def repeat(attack) -> None:
        while not stop.is_set():
            try:
                await attack(port)
            except ConnectionError:
                pass
            counts[attack.__name__] += 1
            await asyncio.sleep(pause * (0.5 + random.random()))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(repeat(attack)) for attack in ATTACKS for _ in range(each)]
        await stop.wait()
        # Those that wait for the server's patience to end are not waited for.
        for task in tasks:
            task.cancel()
    return counts
