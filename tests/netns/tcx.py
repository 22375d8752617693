# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs at a device by tcx, which no tool of these machines shows."""
import ctypes
import functools
import os
import socket
import struct

from counter import bpf

ATTACH, DETACH, GET_FD_BY_ID, GET_INFO, QUERY = 8, 9, 13, 15, 16
INGRESS, MOST, NAME_AT, INFO_SIZE = 46, 64, 64, 256


def _open(number):
    return bpf(GET_FD_BY_ID, struct.pack("=I", number))


def _name(number):
    fd = _open(number)
    try:
        info = ctypes.create_string_buffer(INFO_SIZE)
        bpf(GET_INFO, struct.pack("=IIQ", fd, INFO_SIZE,
                                  ctypes.addressof(info)))
        return info.raw[NAME_AT:NAME_AT + 16].split(b"\0")[0].decode()
    finally:
        os.close(fd)


def ids(space, device):
    """Numbers of the programs there, in their order."""
    found = (ctypes.c_uint32 * MOST)()
    question = bytearray(struct.pack(
        "=IIIIQI", 0, INGRESS, 0, 0, ctypes.addressof(found), MOST))
    buffer = ctypes.create_string_buffer(128)
    with space.entered():
        struct.pack_into("=I", question, 0, socket.if_nametoindex(device))
        try:
            bpf(QUERY, question, buffer)
        except FileNotFoundError:  # there never were any
            return []
    return list(found[:struct.unpack_from("=I", buffer.raw, 24)[0]])


def names(space, device):
    return [_name(number) for number in ids(space, device)] if works() else []


def attach(space, device, program):
    with space.entered():
        bpf(ATTACH, struct.pack("=III", socket.if_nametoindex(device), program,
                                INGRESS))


def detach(space, device, number):
    program = _open(number)
    with space.entered():
        bpf(DETACH, struct.pack("=III", socket.if_nametoindex(device),
                                program, INGRESS))
    os.close(program)


@functools.lru_cache(maxsize=None)
def works():
    """Whether this kernel has it (Linux 6.6)."""
    buffer = struct.pack("=IIIIQI", socket.if_nametoindex("lo"), INGRESS, 0, 0,
                         0, 0)
    try:
        bpf(QUERY, buffer)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True
