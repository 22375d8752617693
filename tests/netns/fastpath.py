# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path's program without a daemon: loads it as porticod would, writes
its maps and puts it at devices. Layouts and the hash are platform/bpf's
fast_map.h and fast_wire.h, written anew."""
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct
import subprocess
import time

from lab import L1, L2, L3, MAC_L1, MAC_L2, MAC_LAN0, MAC_UP0, MAC_WAN0, \
    NEXT_HOP, Skip, mac
from tools import frame

LOADER = os.path.join(os.environ.get("PORTICO_BUILD", "build"), "portico-bpf")
LOADED = struct.Struct("=32si256s")
OUT, IN = 0, 1
PROGRAMS = ("portico_in", "portico_in_bare", "portico_up", "portico_up_bare")
HEAD = struct.Struct("=Q7I32I")
KEY = struct.Struct("=4s4sHHBBH")
SLOT_SIZE, BUCKET_SIZE = 128, 32
AT_LIVE, AT_INSIDE, AT_ID, AT_USE, AT_END = 32, 36, 40, 64, 96
SLOT_BITS = 20
MASK = 0xffffffff


def mix(value):
    value ^= value >> 16
    value = value * 0x85ebca6b & MASK
    value ^= value >> 13
    value = value * 0xc2b2ae35 & MASK
    return value ^ value >> 16


def key_of(proto, way, source, destination):
    """Of (address, port) pairs."""
    (src, sport), (dst, dport) = source, destination
    return KEY.pack(socket.inet_aton(src), socket.inet_aton(dst),
                    socket.htons(sport), socket.htons(dport), proto, way, 0)


def hash_of(key, seed):
    src, dst, sport, dport, proto, way, _ = struct.unpack("=IIHHBBH", key)
    value = mix(seed ^ src)
    value = mix(value ^ dst)
    value = mix(value ^ (sport << 16 | dport))
    return mix(value ^ (proto << 8 | way))


def load(*arguments, wrap=()):
    """What the loader says, and the descriptors it sends."""
    if not os.access(LOADER, os.X_OK):
        raise Skip("portico-bpf is not built (libbpf, clang)")
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, its:
        done = subprocess.run([*wrap, LOADER, *map(str, arguments)],
                              stdin=its, capture_output=True, text=True,
                              timeout=60)
        ours.settimeout(1)
        data, fds, _, _ = socket.recv_fds(ours, LOADED.size + 1, 9)
    assert len(data) == LOADED.size, f"{data!r} {done}"
    version, result, text = LOADED.unpack(data)
    assert version.rstrip(b"\0"), data
    return result, text.rstrip(b"\0").decode(), list(fds), done


class FastPath:
    """Maps and programs; nothing is carried before head() says so."""

    def __init__(self, slots=64, buckets=16, seed=0x12345678):
        result, text, fds, _ = load(slots, buckets)
        if result:
            raise AssertionError(f"{text} ({result})")
        self.fds, self.seed, self.buckets = fds, seed, buckets
        self.head_map = self._map(fds[0], HEAD.size)
        self.filled_map = self._map(fds[1], (buckets + 63) // 64 * 8)
        self.bucket_map = self._map(fds[2], buckets * BUCKET_SIZE)
        self.slot_map = self._map(fds[3], slots * SLOT_SIZE)
        self.programs = dict(zip(PROGRAMS, fds[4:]))
        self.places = {}

    @staticmethod
    def _map(fd, size):
        page = mmap.PAGESIZE
        return mmap.mmap(fd, (size + page - 1) // page * page)

    def head(self, uplink, inside, alive=600, marks=(0, 0), sessions=1):
        """uplink, inside: numbers of devices; alive: seconds from now;
        sessions: 0 or more."""
        until = time.monotonic_ns() + int(alive * 1e9)
        inside = list(inside)
        self.head_map[:HEAD.size] = HEAD.pack(
            max(until, 0), self.seed, self.buckets - 1, uplink, *marks,
            sessions, len(inside), *inside, *([0] * (32 - len(inside))))

    def carry(self, slot, proto, inside, outside, peer, ip_id=0, place=0):
        """A session, found at this place of its buckets."""
        keys = (key_of(proto, OUT, inside, peer),
                key_of(proto, IN, peer, outside))
        at = slot * SLOT_SIZE
        self.slot_map[at:at + SLOT_SIZE] = bytes(SLOT_SIZE)
        self.slot_map[at:at + 32] = keys[0] + keys[1]
        self._put(slot, AT_ID, ip_id)
        self.live(slot, 1)
        for key in keys:
            value = hash_of(key, self.seed)
            entry = value >> SLOT_BITS << SLOT_BITS
            self.entry(value, place, entry | slot)
            # Before it, others that look alike but are not it.
            for other in range(place):
                self.entry(value, other, entry | slot + 1)

    def entry(self, value, place, entry):
        bucket = value & self.buckets - 1
        at = bucket * BUCKET_SIZE + place * 4
        self.bucket_map[at:at + 4] = struct.pack("=I", entry)
        at = bucket // 64 * 8
        word, = struct.unpack_from("=Q", self.filled_map, at)
        self.filled_map[at:at + 8] = struct.pack("=Q",
                                                 word | 1 << bucket % 64)

    def unmark(self):
        self.filled_map[:] = bytes(len(self.filled_map))

    def forget(self):
        """All sessions."""
        self.unmark()
        self.bucket_map[:] = bytes(len(self.bucket_map))

    def _put(self, slot, offset, value):
        at = slot * SLOT_SIZE + offset
        self.slot_map[at:at + 4] = struct.pack("=I", value)

    def _get(self, slot, offset):
        return struct.unpack_from("=I", self.slot_map,
                                  slot * SLOT_SIZE + offset)[0]

    def live(self, slot, value):
        self._put(slot, AT_LIVE, value)

    def inside(self, slot):
        return self._get(slot, AT_INSIDE)

    def use(self, slot, way):
        """(packets, bytes)"""
        return struct.unpack_from("=QQ", self.slot_map,
                                  slot * SLOT_SIZE + AT_USE + way * 16)

    def end(self, slot, way):
        """(ack, window, known): what a sender of this way said last."""
        at = slot * SLOT_SIZE + AT_END + way * 8
        ack, window = struct.unpack_from(">IH", self.slot_map, at)
        return (ack, window, *struct.unpack_from("=H", self.slot_map, at + 6))

    def attach(self, space, device, program):
        with space.entered():
            index = socket.if_nametoindex(device)
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
                link.bind((0, 0))
                attach(link, index, self.programs[program])
        return index

    def close(self):
        for mapped in (self.head_map, self.filled_map, self.bucket_map,
                       self.slot_map):
            mapped.close()
        for fd in self.fds:
            os.close(fd)


# --- rtnetlink --------------------------------------------------------------

NEWQDISC, NEWTFILTER = 36, 44
REQUEST, ACK, EXCL, CREATE = 1, 4, 0x200, 0x400
CLSACT, INGRESS = 0xfffffff1, 0xfffffff2
KIND, OPTIONS = 1, 2
BPF_FD, BPF_NAME, BPF_FLAGS = 6, 7, 8
ETH_P_ALL = 3


def attribute(kind, data):
    size = 4 + len(data)
    return struct.pack("=HH", size, kind) + data + bytes(-size % 4)


def request(link, kind, index, handle, parent, info, attributes):
    """0 or an errno."""
    body = struct.pack("=BxxxiIII", 0, index, handle, parent, info)
    body += attributes
    link.send(struct.pack("=IHHII", 16 + len(body), kind,
                          REQUEST | ACK | CREATE | EXCL, 1, 0) + body)
    answer = link.recv(65536)
    return -struct.unpack_from("=i", answer, 16)[0]


def attach(link, index, program):
    error = request(link, NEWQDISC, index, 0xffff0000, CLSACT, 0,
                    attribute(KIND, b"clsact\0"))
    if not error:
        options = (attribute(BPF_FD, struct.pack("=I", program))
                   + attribute(BPF_NAME, b"portico\0")
                   + attribute(BPF_FLAGS, struct.pack("=I", 1)))
        error = request(link, NEWTFILTER, index, 0, INGRESS,
                        1 << 16 | socket.htons(ETH_P_ALL),
                        attribute(KIND, b"bpf\0")
                        + attribute(OPTIONS, options))
    if error in (errno.ENOENT, errno.EOPNOTSUPP):
        raise Skip("the kernel has no clsact or cls_bpf")
    assert error == 0, f"the program is not attached: {os.strerror(error)}"


# --- devices and packets ------------------------------------------------------

def tun(space, name):
    """A device without link headers, whose packets we read and write."""
    with space.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name.encode(),
                                                0x1001))
    return fd


def marked(space, device, mark):
    """A packet socket that sees what leaves by a device with this mark."""
    program = struct.pack("=HBBIHBBIHBBIHBBI",
                          0x20, 0, 0, 0xfffff014, 0x15, 0, 1, mark,
                          0x06, 0, 0, 65535, 0x06, 0, 0, 0)
    buffer = ctypes.create_string_buffer(program)
    with space.entered():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    made.setsockopt(socket.SOL_SOCKET, 26, struct.pack(
        "HL", 4, ctypes.addressof(buffer)))
    made.bind((device, ETH_P_ALL))
    made.settimeout(3)
    return made


class Bed:
    """A lab whose gateway forwards, with the program at its devices and one
    session in slot 1; what is not carried is forwarded as it is."""

    def __init__(self, lab):
        self.lab = lab
        self.fast = FastPath()
        gw = lab.gw
        for address, device, link in (
                (NEXT_HOP, "wan0", MAC_UP0), (L1, "lan0", MAC_L1),
                (L2, "lan0", MAC_L2), (L3, "lan1", mac(0x23))):
            gw.ip(f"neigh replace {address} dev {device} lladdr {link} "
                  "nud permanent")
        # Peers are behind the next hop, and no neighbours.
        lab.wan.sysctl("net.ipv4.conf.all.arp_ignore", 1)
        lab.wan.sysctl("net.ipv4.conf.all.arp_announce", 2)
        self.lan0 = self.fast.attach(gw, "lan0", "portico_in")
        self.lan1 = self.fast.attach(gw, "lan1", "portico_in")
        self.wan0 = self.fast.attach(gw, "wan0", "portico_up")
        self.hosts = {L1: lab.lan1.link_socket("eth0"),
                      L3: lab.lan3.link_socket("eth0")}
        self.up0 = lab.wan.link_socket("up0")

    def ready(self, **head):
        self.fast.forget()
        self.fast.head(self.wan0, [self.lan0, self.lan1], **head)
        return self

    def send_out(self, packet, padding=b"", by=L1, to=None):
        to = to or {L1: MAC_LAN0, L3: self.mac_lan1()}[by]
        self.hosts[by].send(frame(packet, to) + padding)

    def mac_lan1(self):
        return self.lab.gw.ip_json("link show lan1")[0]["address"]

    def send_in(self, packet, padding=b""):
        self.up0.send(frame(packet, MAC_WAN0) + padding)


def bed(lab, **head):
    if not hasattr(lab, "bed"):
        lab.bed = Bed(lab)
    return lab.bed.ready(**head)
