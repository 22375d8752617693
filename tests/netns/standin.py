# SPDX-License-Identifier: GPL-2.0-or-later
"""In the place of the programs that load rules: they take as long as a test
wants it."""
import os
import shutil

from netns import wait_for

# argv[0] is the name that was called. Ten minutes at most.
SCRIPT = """#!/bin/sh
case "${{0##*/}}" in
iptables-nft*) [ ! -e {broken} ] || exit 1 ;;
esac
case "${{0##*/}} $*" in
nft\\ *-c*|nft\\ *list*|*save*|*version*) ;;
*) turns=0
   if [ -e {delay} ]; then echo "$$" >>{waits}; sleep "$(cat {delay})"; fi
   if [ -e {hold} ]; then echo "$$" >>{waits}; fi
   while [ -e {hold} ] && [ $turns -lt 6000 ]; do
       sleep 0.1
       turns=$((turns + 1))
   done
   if [ -e {linger} ]; then
       {real}/"${{0##*/}}" "$@"
       status=$?
       echo "$$" >>{waits}
       while [ -e {linger} ] && [ $turns -lt 20 ]; do
           sleep 0.1
           turns=$((turns + 1))
       done
       exit $status
   fi ;;
esac
exec {real}/"${{0##*/}}" "$@"
"""
PROGRAMS = ["nft", "xtables-nft-multi", "xtables-legacy-multi"]
NAMES = ["iptables-nft-restore", "iptables-nft-save",
         "iptables-legacy-restore", "iptables-legacy-save"]


class Loader:
    """`wrap`: a command line that starts a daemon which sees the stand-ins.
    Between hold() and release() no rules are loaded; after delay() whatever
    loads some takes so long, also when it is released meanwhile; after linger()
    it has loaded them, and does not end for two seconds; after break_nft()
    nothing of iptables-nft does anything."""

    def __init__(self, directory):
        self.real = os.path.join(directory, "real")
        self.path, self.hold_path, self.delay_path, self.linger_path, \
            self.broken_path, self.waits = (
                os.path.join(directory, name) for name in (
                    "slow-loader", "hold", "delay", "linger", "broken",
                    "waits"))
        os.makedirs(self.real, exist_ok=True)
        with open(self.path, "w") as file:
            file.write(SCRIPT.format(
                hold=self.hold_path, delay=self.delay_path,
                linger=self.linger_path, broken=self.broken_path,
                waits=self.waits, real=self.real))
        os.chmod(self.path, 0o755)
        mounts = [f"mount --bind {self.path} {path}"
                  for path in filter(None, map(self._keep, PROGRAMS))]
        self.wrap = ["unshare", "--mount", "sh", "-c",
                     " && ".join(mounts + ['exec "$@"']), "sh"]

    def _keep(self, program):
        """The program's place, its copy kept under all its names."""
        path = shutil.which(program)
        if path:
            shutil.copy(path, os.path.join(self.real, program))
            for name in NAMES:
                if program == f"xtables-{name.split('-')[1]}-multi":
                    link = os.path.join(self.real, name)
                    if not os.path.lexists(link):
                        os.symlink(program, link)
        return path

    def hold(self):
        for path in (self.waits, self.hold_path):
            with open(path, "w"):
                pass

    def linger(self):
        for path in (self.waits, self.linger_path):
            with open(path, "w"):
                pass

    def break_nft(self):
        with open(self.broken_path, "w"):
            pass

    def delay(self, seconds):
        with open(self.waits, "w"), open(self.delay_path, "w") as file:
            file.write(f"{seconds}\n")

    def waiting(self):
        """The processes that were made to wait since hold() or delay()."""
        with open(self.waits) as file:
            return [int(line) for line in file]

    def running(self):
        """Those of them that have not ended."""
        def runs(pid):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    return file.read().rpartition(")")[2].split()[0] != "Z"
            except FileNotFoundError:
                return False
        return [pid for pid in self.waiting() if runs(pid)]

    def wait_held(self):
        wait_for("rules to be loaded", self.waiting)

    def release(self):
        for path in (self.hold_path, self.delay_path, self.linger_path,
                     self.broken_path):
            if os.path.exists(path):
                os.unlink(path)
