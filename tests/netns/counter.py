# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody else's tc program: counts packets and lets them go on. Written as
instructions, so that neither compiler nor library is needed."""
import ctypes
import os
import platform
import socket
import struct

from fastpath import BPF_FD, BPF_FLAGS, BPF_NAME, CLSACT, ETH_P_ALL, \
    INGRESS, KIND, NEWQDISC, NEWTFILTER, OPTIONS, attribute, request
from lab import Skip

NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280,
           "armv7l": 386, "armv8l": 386, "i686": 357, "ppc64le": 361,
           "s390x": 351}
MAP_CREATE, LOOKUP, PROG_LOAD = 0, 1, 5
ARRAY, SCHED_CLS = 2, 3
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes, buffer=None):
    """buffer: 128 bytes, for what the kernel writes into the attributes."""
    machine = platform.machine()
    if machine not in NUMBERS:
        raise Skip(f"bpf()'s number on {machine} is not known here")
    buffer = buffer or ctypes.create_string_buffer(128)
    ctypes.memmove(buffer, bytes(attributes), len(attributes))
    result = _libc.syscall(NUMBERS[machine], command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf()")
    return result


def instruction(code, to=0, source=0, offset=0, value=0):
    return struct.pack("=BBhi", code, source << 4 | to, offset, value)


def program(counts):
    """counts[0]++, and on to the next filter (-1)."""
    return b"".join([
        instruction(0x62, 10, 0, -4, 0),  # *(u32 *)(r10 - 4) = 0
        instruction(0xbf, 2, 10),  # r2 = r10
        instruction(0x07, 2, value=-4),  # r2 += -4
        instruction(0x18, 1, 1, value=counts), instruction(0),  # r1 = counts
        instruction(0x85, value=1),  # r0 = bpf_map_lookup_elem(r1, r2)
        instruction(0x15, 0, offset=2),  # if r0 == 0 goto + 2
        instruction(0xb7, 1, value=1),  # r1 = 1
        instruction(0xdb, 0, 1),  # lock *(u64 *)r0 += r1
        instruction(0xb7, 0, value=-1),  # r0 = -1
        instruction(0x95)])  # return r0


class Counter:
    """At a device's ingress, in a clsact of its own or in the one there is."""

    NAME = "somebody"

    def __init__(self, space, device, preference=10):
        self.space, self.device, self.preference = space, device, preference
        self.counts = bpf(MAP_CREATE, struct.pack("=IIII", ARRAY, 4, 8, 1))
        code, terms = program(self.counts), ctypes.create_string_buffer(b"GPL")
        text = ctypes.create_string_buffer(code)
        self.fds = [self.counts, bpf(PROG_LOAD, struct.pack(
            "=IIQQ", SCHED_CLS, len(code) // 8, ctypes.addressof(text),
            ctypes.addressof(terms)))]
        with space.entered():
            self.index = socket.if_nametoindex(device)
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
                link.bind((0, 0))
                self.attach(link)

    def attach(self, link):
        request(link, NEWQDISC, self.index, 0xffff0000, CLSACT, 0,
                attribute(KIND, b"clsact\0"))
        options = (attribute(BPF_FD, struct.pack("=I", self.fds[1]))
                   + attribute(BPF_NAME, self.NAME.encode() + b"\0")
                   + attribute(BPF_FLAGS, struct.pack("=I", 1)))
        error = request(link, NEWTFILTER, self.index, 1, INGRESS,
                        self.preference << 16 | socket.htons(self.protocol()),
                        attribute(KIND, b"bpf\0")
                        + attribute(OPTIONS, options))
        assert not error, os.strerror(error)

    def protocol(self):
        """In the fast path's own place only what is of its protocol may be."""
        return 0x0800 if self.preference == 0xbf00 else ETH_P_ALL

    def count(self):
        key, value = ctypes.create_string_buffer(4), \
            ctypes.create_string_buffer(8)
        bpf(LOOKUP, struct.pack("=IxxxxQQ", self.fds[0],
                                ctypes.addressof(key),
                                ctypes.addressof(value)))
        return struct.unpack("=Q", value.raw[:8])[0]

    def close(self):
        """The filter goes, and the qdisc with all that is in it."""
        for fd in self.fds:
            os.close(fd)
        if self.fds:
            self.space.run("tc", "qdisc", "del", "dev", self.device, "clsact",
                           check=False)
        self.fds = []

