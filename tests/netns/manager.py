# SPDX-License-Identifier: GPL-2.0-or-later
"""In the place of the service manager: takes the daemon's messages, keeps the
descriptors that it leaves, hands them to the next one."""
import array
import os
import socket
import sys
import threading

# Started in the daemon's place: asks for what is kept, then becomes it.
LAUNCH = """
import array, os, socket, sys
asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
asked.connect(sys.argv[1] + "/launch")
names, control, _, _ = asked.recvmsg(65536, socket.CMSG_SPACE(64 * 4))
fds = array.array("i")
for _, _, data in control:
    fds.frombytes(data)
high = [os.dup2(fd, 100 + at) for at, fd in enumerate(fds)]
asked.close()
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
os.closerange(3 + len(high), 200)
os.environ["NOTIFY_SOCKET"] = sys.argv[1] + "/notify"
if high:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)),
                      LISTEN_FDNAMES=names.decode().strip())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """`store`: what it keeps, name to descriptors; `heard`: all messages."""

    def __init__(self, directory):
        self.directory = directory
        self.store, self.heard = {}, []
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.launch = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        for sock, name in ((self.notify, "notify"), (self.launch, "launch")):
            path = os.path.join(directory, name)
            if os.path.exists(path):
                os.unlink(path)
            sock.bind(path)
        self.launch.listen()
        self.threads = [threading.Thread(target=job, daemon=True)
                        for job in (self._listen, self._launch)]
        for thread in self.threads:
            thread.start()

    def wrap(self):
        return [sys.executable, "-c", LAUNCH, self.directory]

    def _listen(self):
        while True:
            message, control, _, _ = self.notify.recvmsg(
                4096, socket.CMSG_SPACE(16 * 4))
            fds = array.array("i")
            for _, _, data in control:
                fds.frombytes(data)
            if message == b"end":
                return
            self._take(message.decode(), list(fds))

    def _take(self, message, fds):
        fields = dict(line.split("=", 1) for line in message.split("\n"))
        name = fields.get("FDNAME", "stored")
        if "FDSTORE" in fields:
            self.store.setdefault(name, []).extend(fds)
            fds = []
        if "FDSTOREREMOVE" in fields and name in self.store:
            self._close(name)
        for fd in fds:
            os.close(fd)
        self.heard.append(message)

    def _launch(self):
        while True:
            client, _ = self.launch.accept()
            with client:
                if "end" in self.store:
                    return
                names = [name for name, fds in self.store.items()
                         for _ in fds]
                fds = [fd for fds in self.store.values() for fd in fds]
                socket.send_fds(client, [b":".join(
                    name.encode() for name in names) + b"\n"], fds)

    def _close(self, name):
        for fd in self.store.pop(name):
            os.close(fd)

    def drop(self):
        """Keeps nothing any more."""
        for name in list(self.store):
            self._close(name)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.drop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"end", os.path.join(self.directory, "notify"))
        self.store = {"end": []}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(os.path.join(self.directory, "launch"))
        for thread in self.threads:
            thread.join(5)
        self.notify.close()
        self.launch.close()
