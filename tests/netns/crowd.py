# SPDX-License-Identifier: GPL-2.0-or-later
"""Many TCP connections at once.

crowd.py serve ADDRESS PORT          echoes every connection
crowd.py call ADDRESS PORT COUNT     opens COUNT connections, keeps them all
    open, then sends on each its own bytes twice and compares what comes
    back; prints "COUNT echoed" and exits 0 when every one was right.
"""
import asyncio
import resource
import sys

from netns import SLOW


async def echo(reader, writer):
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(address, port):
    server = await asyncio.start_server(echo, address, port, backlog=4096)
    await server.serve_forever()


async def exchange(number, reader, writer):
    for turn in range(2):
        data = f"connection {number} turn {turn} ".encode() * 8
        writer.write(data)
        got = await reader.readexactly(len(data))
        if got != data:
            raise ValueError(f"connection {number} got {got!r}")


async def call(address, port, count):
    gate = asyncio.Semaphore(100)  # connections being opened at once

    async def connect():
        async with gate:
            return await asyncio.wait_for(
                asyncio.open_connection(address, port), 20 * SLOW)

    pairs = await asyncio.gather(*(connect() for _ in range(count)))
    await asyncio.wait_for(asyncio.gather(
        *(exchange(n, *pair) for n, pair in enumerate(pairs))), 30 * SLOW)
    print(f"{len(pairs)} echoed", flush=True)
    if sys.stdin.readline():  # the test looks at the table, then says so
        for _, writer in pairs:
            writer.close()


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
    verb, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if verb == "serve":
        asyncio.run(serve(address, port))
    else:
        asyncio.run(call(address, port, int(sys.argv[4])))


main()
