"""Posts webhooks as fast as they are answered: 40 at once, connections kept or new for each request. Prints what came out as JSON.

`python -m benchmarks.load HOST:PORT kept|new SECONDS`. As little Python as possible for each request: the load must not be what counts.
"""

import json
import sys
import time

import trio

CONNECTIONS = 40


def request(number: int, *, kept: bool) -> bytes:
    """What a host sends, with its own UniqueId, so that nothing is a duplicate."""
    token = f"3752900{number % 400:05}"
    fields: dict[str, object] = {
        "UniqueId": f"{time.time_ns() // 1000 / 1e6:.6f}.{number}",
        "Phone": "375290000111",
        "CallType": 0,
        "Trunk": "0001363",
        "Token": token,
        "Extensions": ["150", "151"],
        "ExtTrunk": "",
        "ExtPhone": "375290000111",
    }
    body = json.dumps(fields).encode()
    connection = "keep-alive" if kept else "close"
    head = (
        "POST /start HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: python-requests/2.25.1\r\n"
        "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\n"
        f"Connection: {connection}\r\nContent-type: application/json\r\nToken: {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def read_answer(stream: trio.SocketStream) -> None:
    """Headers and body, by the length the headers give; anything but 200 ends the run."""
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += await receive(stream)
    if not received.startswith(b"HTTP/1.1 200"):
        sys.exit(received[:200].decode(errors="replace"))
    length = int(received.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(received) < end + 4 + length:
        received += await receive(stream)


async def receive(stream: trio.SocketStream) -> bytes:
    chunk = await stream.receive_some(65536)
    if not chunk:
        sys.exit("the server closed a connection without an answer")
    return chunk


async def post_on(host: str, port: int, deadline: float, first: int, seconds: list[float], *, kept: bool) -> None:
    stream = await trio.open_tcp_stream(host, port) if kept else None
    number = first
    while time.perf_counter() < deadline:
        began = time.perf_counter()
        used = stream or await trio.open_tcp_stream(host, port)
        await used.send_all(request(number, kept=kept))
        await read_answer(used)
        if stream is None:
            await used.aclose()
        seconds.append(time.perf_counter() - began)
        number += CONNECTIONS
    if stream is not None:
        await stream.aclose()


async def load(address: str, duration: float, *, kept: bool) -> list[float]:
    host, _, port = address.rpartition(":")
    seconds: list[float] = []
    deadline = time.perf_counter() + duration
    async with trio.open_nursery() as nursery:
        for first in range(CONNECTIONS):
            nursery.start_soon(lambda first=first: post_on(host, int(port), deadline, first, seconds, kept=kept))
    return seconds


def main() -> None:
    address, mode, duration = sys.argv[1], sys.argv[2], float(sys.argv[3])
    warm = trio.run(lambda: load(address, 0.5, kept=mode == "kept"))
    began = time.perf_counter()
    seconds = sorted(trio.run(lambda: load(address, duration, kept=mode == "kept")))
    elapsed = time.perf_counter() - began
    result = {
        "events": len(seconds) + len(warm),
        "events_per_second": len(seconds) / elapsed,
        "p50_ms": seconds[len(seconds) // 2] * 1000,
        "p99_ms": seconds[len(seconds) * 99 // 100] * 1000,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
