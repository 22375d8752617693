# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of a daemon that fail on demand: the test's side of tests/fault/.

A Fault is one block of memory that a daemon started with its `wrap` shares
with the test. The block lists every way (call and stack) by which the daemon
and its children came to a call that can fail, and holds the plan: what fails
next. See tests/fault/plan.h.
"""
import collections
import errno
import mmap
import os
import shutil
import struct
import subprocess

from daemon import BUILD, PORTICOD

SHIM = os.path.join(BUILD, "tests", "fault", "shim.so")
MAGIC = 0x464c5431
SITES = 4096
PLAN = struct.Struct("=IiIIQ24s24sII")
PLAN_AT = 8
SITE = struct.Struct("=Q24s24sII16Q")
SITES_AT = PLAN_AT + PLAN.size
SHORT, END = -1, -2

Site = collections.namedtuple("Site", "id call process count frames")


def number(what):
    """An errno's name, or SHORT or END, as the plan has it."""
    return what if isinstance(what, int) else getattr(errno, what)


def told(what):
    return {SHORT: "short", END: "end"}.get(what, what)


def unusable():
    """Why calls cannot be made to fail here, or None."""
    if not os.path.exists(SHIM):
        return f"{SHIM} is not built"
    if not shutil.which("addr2line"):
        return "addr2line is not installed"
    with open(PORTICOD, "rb") as file:
        if b"__asan_init" in file.read():
            return "the sanitizers bring an allocator of their own"
    return None


class Fault:
    def __init__(self, directory):
        self.path = os.path.join(directory, "fault")
        with open(self.path, "wb") as file:
            file.write(struct.pack("=I", MAGIC))
            file.truncate(SITES_AT + SITES * SITE.size)
        os.chmod(self.path, 0o666)
        with open(self.path, "r+b") as file:
            self.block = mmap.mmap(file.fileno(), 0)
        self.wrap = ["env", f"LD_PRELOAD={SHIM}", f"PORTICO_FAULT={self.path}"]

    def arm(self, what, call="", site=0, skip=0, times=1, process=""):
        """times=0: from then on always."""
        self.disarm()
        PLAN.pack_into(self.block, PLAN_AT, 0, number(what), skip, times, site,
                       call.encode(), process.encode(), 0, 0)
        struct.pack_into("=I", self.block, PLAN_AT, 1)

    def disarm(self):
        """How many calls have failed."""
        struct.pack_into("=I", self.block, PLAN_AT, 0)
        return self.struck()

    def struck(self):
        return PLAN.unpack_from(self.block, PLAN_AT)[-1]

    def seen(self):
        return PLAN.unpack_from(self.block, PLAN_AT)[-2]

    def sites(self):
        """{id: Site} of all that was called so far."""
        assert not struct.unpack_from("=I", self.block, 4)[0], "sites lost"
        found = {}
        for index in range(SITES):
            values = SITE.unpack_from(self.block,
                                      SITES_AT + index * SITE.size)
            if values[0]:
                call, process = (text.rstrip(b"\0").decode()
                                 for text in values[1:3])
                found[values[0]] = Site(values[0], call, process, values[3],
                                        values[5:5 + values[4]])
        return found

    def close(self):
        self.block.close()


_named = {}  # the functions at an address, innermost (inlined) first


def find_names(sites):
    """All that functions() will be asked for, at once."""
    wanted = {frame - 1 for site in sites for frame in site.frames
              if not frame >> 48} - _named.keys()
    if not wanted:
        return
    done = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", PORTICOD],
                          input="".join(f"{at:#x}\n" for at in wanted),
                          capture_output=True, text=True, timeout=60)
    for block in ("\n" + done.stdout).split("\n0x")[1:]:
        at, *lines = block.strip().split("\n")
        _named[int(at, 16)] = lines[0::2]


def functions(site):
    """Those of the daemon that led to a call, innermost first."""
    find_names([site])
    return [name for frame in site.frames if not frame >> 48
            for name in _named[frame - 1]]


def where(site):
    return f"{site.call} in {' < '.join(functions(site)) or 'a library'}"
