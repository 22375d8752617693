# SPDX-License-Identifier: GPL-2.0-or-later
"""A web server for tests: httpd.py ADDRESS PORT.

GET /N          N random bytes, the same for the same N
GET /sha256/N   their sha256
GET /who        the client as seen here
PUT /...        answers with the sha256 of what came
"""
import hashlib
import http.server
import random
import socketserver
import sys

PIECE = 1 << 20
block = random.Random(1).randbytes(PIECE + 4096)


def pieces(count):
    """Pieces that differ from each other and never repeat in place."""
    sent = 0
    while sent < count:
        start = (sent // PIECE) % 4096
        yield block[start:start + min(PIECE, count - sent)]
        sent += PIECE


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        word = self.path.split("/")[-1]
        if self.path == "/who":
            self.answer("{}:{}\n".format(*self.client_address).encode())
        elif self.path.startswith("/sha256/"):
            digest = hashlib.sha256()
            for piece in pieces(int(word)):
                digest.update(piece)
            self.answer(digest.hexdigest().encode())
        elif word.isdigit():
            self.send_response(200)
            self.send_header("Content-Length", word)
            self.end_headers()
            for piece in pieces(int(word)):
                self.wfile.write(piece)
        else:
            self.answer(b"it works\n")

    def do_PUT(self):
        digest = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read(min(left, PIECE))
            if not data:
                return
            digest.update(data)
            left -= len(data)
        self.answer(digest.hexdigest().encode())

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingTCPServer):
    """Not http.server's: that one asks DNS for its own name."""
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
