# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon takes of a small router's memory, with its tables full."""
import struct

from lab import L1, MAC_LAN0, R1
from netns import wait_for
from test_sandbox import helper_of
from tools import download, frame, httpd, limit, random_file, upload
from wire import with_header_checksum

MB = 1000 * 1000
MAPPINGS = 8192
# The budget for a device with 64 MB, in KB.
BUDGET_KB = 6 * 1024
# One host fills the table; its size is left to the daemon.
LIMITS = {"host_mappings": 65535, "host_new_per_second": 10000,
          "host_guaranteed": 0}
OPEN_AT_ONCE = 256


def small_router(lab):
    """A command line that sees a machine with 64 MB, of which its kernel keeps
    some."""
    path = f"{lab.directory}/meminfo"
    with open(path, "w") as file:
        file.write("MemTotal:          59264 kB\n"
                   "MemFree:           21340 kB\n"
                   "MemAvailable:      24980 kB\n")
    return ["unshare", "--mount", "sh", "-c",
            f"mount --bind {path} /proc/meminfo && exec \"$@\"", "sh"]


def datagram(number):
    """The first one of socket `number`; without a checksum of its own."""
    bytes_of = bytes(int(part) for part in L1.split(".")), bytes(
        int(part) for part in R1.split("."))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, number, 0, 64, 17, 0)
    return with_header_checksum(head + b"".join(bytes_of) + struct.pack(
        "!HHHH", 1024 + number, 7000, 8, 0))


def resident_kb(pid):
    """{file, or "" for memory without one: KB}"""
    found = {}
    with open(f"/proc/{pid}/smaps") as file:
        for words in map(str.split, file):
            if "-" in words[0]:
                name = words[5] if len(words) > 5 else ""
            elif words[0] == "Rss:":
                found[name] = found.get(name, 0) + int(words[1])
    return found


def sums(pid):
    """(all, without shared libraries: a router has others' in memory anyway)."""
    found = resident_kb(pid)
    return sum(found.values()), sum(
        size for name, size in found.items() if ".so" not in name)


@limit(120)
def test_8192_mappings_in_a_router_with_64_mb(lab):
    """Tables full, and the batch's buffers used by super-packets."""
    lab.need_portico()
    daemon = lab.start(fresh=True, wrap=small_router(lab), limits=LIMITS)
    status = daemon.json("status")
    assert status["mappings"]["limit"] == MAPPINGS, status["mappings"]
    with httpd(lab.wan, R1):
        download(lab.lan1, f"http://{R1}", 100 * MB, lab.directory)
        upload(lab.lan1, f"http://{R1}", random_file(lab.directory, 100 * MB))
    lane = lab.lan1.link_socket("eth0")
    for first in range(0, MAPPINGS, OPEN_AT_ONCE):
        for number in range(first, first + OPEN_AT_ONCE):
            lane.send(frame(datagram(number), MAC_LAN0))
        wait_for("room in the queue", lambda: not lab.portico("status")[
            "queue"]["waiting"])
    used = lab.portico("status")
    assert used["mappings"]["used"] == MAPPINGS, used["mappings"]
    lane.close()
    pid = daemon.process.pid
    (whole, own), (_, helper) = map(sums, (pid, helper_of(pid)))
    assert own <= BUDGET_KB, (own, resident_kb(pid))
    return (f"resident: {own} KB of {BUDGET_KB}, with shared libraries {whole} "
            f"KB; its helper {helper} KB")
