# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections and UDP sockets that live on while the gateway dies.

restart_load.py serve ADDRESS PORT       echoes TCP, answers each datagram
    with "ADDRESS:PORT " as it sees the sender, then the same bytes
restart_load.py call ADDRESS PORT TCP UDP   opens so many of each; all the
    connections keep sending, the sockets in turn. Commands on stdin, each
    answered by a line of JSON:
    check   every connection gets an echo of something sent now, every socket
            an answer: {"tcp": how many did, "udp": ..., "moved": sockets that
            are seen as another address and port than at first}
    end     closes; {"intact": connections whose every byte came back, by
            sha256, "bytes": of all}
"""
import asyncio
import contextlib
import hashlib
import json
import random
import resource
import socket
import sys

CHUNK = 600
PAUSE = 0.2  # between two chunks of a connection
PATIENCE = 30  # for a check


# --- outside ---------------------------------------------------------------

async def echo(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Answer(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(f"{peer[0]}:{peer[1]} ".encode() + data, peer)


async def serve(address, port):
    await asyncio.get_running_loop().create_datagram_endpoint(
        Answer, local_addr=(address, port))
    server = await asyncio.start_server(echo, address, port, backlog=4096)
    await server.serve_forever()


# --- inside ----------------------------------------------------------------

class Stream:
    """One connection: what went out and what came back."""

    def __init__(self, number, reader, writer):
        self.reader, self.writer = reader, writer
        self.random = random.Random(number)
        self.sent, self.got = hashlib.sha256(), hashlib.sha256()
        self.out = self.back = 0
        self.ending = False
        self.failure = None
        self.tasks = [asyncio.create_task(self.guard(job))
                      for job in (self.send(), self.receive())]

    async def guard(self, job):
        try:
            await job
        except OSError as error:
            self.failure = str(error)

    def push(self):
        data = self.random.randbytes(CHUNK)
        self.writer.write(data)
        self.sent.update(data)
        self.out += len(data)

    async def send(self):
        while not self.ending:
            await asyncio.sleep(PAUSE * (0.5 + self.random.random()))
            if self.ending:
                break
            self.push()
            await self.writer.drain()

    async def receive(self):
        while data := await self.reader.read(65536):
            self.got.update(data)
            self.back += len(data)
        if not self.ending:
            self.failure = "closed"

    async def check(self):
        self.push()
        mark = self.out
        while self.back < mark and not self.failure:
            await asyncio.sleep(0.01)
        return not self.failure

    async def end(self):
        self.ending = True
        await self.tasks[0]
        with contextlib.suppress(OSError):
            self.writer.write_eof()
        await asyncio.wait_for(self.tasks[1], PATIENCE)
        self.writer.close()
        return (not self.failure and self.out == self.back
                and self.sent.digest() == self.got.digest())


class Sockets:
    def __init__(self, peer, count):
        self.peer = peer
        self.first = [None] * count
        self.seen = [None] * count
        self.sockets = []
        self.turn = 0
        loop = asyncio.get_running_loop()
        for number in range(count):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            self.sockets.append(sock)
            loop.add_reader(sock, self.take, number)

    def take(self, number):
        with contextlib.suppress(OSError):
            while True:
                seen, turn = self.sockets[number].recv(2048).split(b" ")
                if int(turn) == self.turn:
                    self.seen[number] = seen.decode()

    def send(self, number):
        with contextlib.suppress(OSError):
            self.sockets[number].sendto(str(self.turn).encode(), self.peer)

    async def trickle(self):
        while True:
            for number in range(len(self.sockets)):
                self.send(number)
                await asyncio.sleep(0.01)

    async def check(self):
        self.turn += 1
        self.seen = [None] * len(self.sockets)
        while None in self.seen:
            for number, seen in enumerate(self.seen):
                if seen is None:
                    self.send(number)
                    if number % 20 == 0:
                        await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)

    def result(self):
        if self.turn == 1:
            self.first = list(self.seen)
        return (sum(seen is not None for seen in self.seen),
                sum(seen not in (None, first)
                    for seen, first in zip(self.seen, self.first)))


async def check(streams, sockets):
    jobs = [asyncio.create_task(s.check()) for s in streams]
    jobs.append(asyncio.create_task(sockets.check()))
    done, late = await asyncio.wait(jobs, timeout=PATIENCE)
    for job in late:
        job.cancel()
    alive = sum(job in done and job.result() is True for job in jobs[:-1])
    answered, moved = sockets.result()
    return {"tcp": alive, "udp": answered, "moved": moved,
            "failures": [s.failure for s in streams if s.failure][:3]}


async def end(streams):
    intact = await asyncio.gather(*(s.end() for s in streams),
                                  return_exceptions=True)
    return {"intact": sum(one is True for one in intact),
            "bytes": sum(s.back for s in streams)}


async def call(address, port, tcp, udp):
    loop = asyncio.get_running_loop()
    streams = []
    for number in range(tcp):
        streams.append(Stream(number, *await asyncio.wait_for(
            asyncio.open_connection(address, port), 20)))
    sockets = Sockets((address, port), udp)
    trickle = asyncio.create_task(sockets.trickle())
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "check":
            print(json.dumps(await check(streams, sockets)), flush=True)
        else:
            print(json.dumps(await end(streams)), flush=True)
            break
    trickle.cancel()


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
    verb, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if verb == "serve":
        asyncio.run(serve(address, port))
    else:
        asyncio.run(call(address, port, int(sys.argv[4]), int(sys.argv[5])))


main()
