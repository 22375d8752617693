# SPDX-License-Identifier: GPL-2.0-or-later
"""The real systemd, as the first process of a container that has the gateway's
network: what `make install` puts into a file system runs there as a service.

Of all units it knows only Portico's and the few targets that one needs. Its
/usr/local and /etc/portico are what was installed, /run is kept when it is
booted anew (as if only that had survived; the kernel's boot id is the same)."""
import atexit
import json
import os
import shutil
import signal
import subprocess

from daemon import BUILD, PORTICOD, ROOT
from lab import Skip
from netns import SLOW, wait_for

SYSTEMD = "/lib/systemd/systemd"
UNIT = "portico.service"
TARGETS = {
    "sysinit": "", "basic": "Requires=sysinit.target\nAfter=sysinit.target\n",
    "multi-user": "Requires=basic.target\nAfter=basic.target\n",
    "network-pre": "", "shutdown": "DefaultDependencies=no\n",
}
# Own views of what it needs; then it is systemd.
BOOT = """set -e
root=$1
mount -t cgroup2 none "$root/cgroup"
mkdir -p "$root/cgroup/$2"
echo 0 >"$root/cgroup/$2/cgroup.procs"
umount "$root/cgroup"
exec unshare --cgroup sh -ec '
root=$1
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mount -t overlay -o lowerdir=/etc,upperdir=$root/etc,workdir=$root/work \\
	overlay /etc
mount --bind "$root/usr/local" /usr/local
mount --bind "$root/usr/local/lib/systemd/system" /usr/lib/systemd/system
mkdir -p /etc/systemd
mount --bind "$root/systemd" /etc/systemd
mount --bind "$root/run" /run
exec env -i container=portico PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
	LC_ALL=C.UTF-8 "$2" --system --unit=multi-user.target \\
	--show-status=no --log-target=null
' sh "$root" "$3"
"""


class Service:
    """config: of /etc/portico/portico.conf; unit: lines of [Service] that a
    test needs otherwise."""

    def __init__(self, lab, config, unit=""):
        if not os.access(SYSTEMD, os.X_OK):
            raise Skip("no systemd")
        self.lab = lab
        self.root = os.path.join(lab.directory, "system")
        self.process = self.pid = None
        atexit.register(self.close)
        os.mkdir(self.root)
        os.chmod(self.root, 0o755)
        for name in ("cgroup", "work", "systemd/system/portico.service.d",
                     "run"):
            os.makedirs(os.path.join(self.root, name))
        self._install()
        self.write("systemd/system/portico.service.d/test.conf",
                   "[Service]\nStandardOutput=append:/run/log\n"
                   "StandardError=append:/run/log\n" + unit)
        for name, lines in TARGETS.items():
            self.write(f"usr/local/lib/systemd/system/{name}.target",
                       f"[Unit]\nDescription={name}\n{lines}")
        self.write("etc/portico/portico.conf", json.dumps(config))

    def _install(self):
        there = os.environ.get("PORTICO_TEST_INSTALLED")
        if there:
            shutil.copytree(there, self.root, dirs_exist_ok=True)
            return
        done = subprocess.run(
            ["make", "-C", ROOT, "-s", "install", f"BUILD={BUILD}",
             f"DESTDIR={self.root}"], capture_output=True, text=True,
            timeout=120 * SLOW)
        assert done.returncode == 0, done.stderr[-600:]
        assert os.path.getsize(self.path("usr/local/sbin/porticod")) == \
            os.path.getsize(PORTICOD)

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    # --- the container ------------------------------------------------------

    def boot(self):
        self.process = self.lab.gw.start(
            "unshare", "--mount", "--pid", "--ipc", "--uts", "--fork",
            "--kill-child", "--mount-proc", "sh", "-c", BOOT, "sh",
            self.root, self.lab.prefix + "system", SYSTEMD)
        self.pid = wait_for("the container's first process", self._first, 20)
        said = []

        def runs():
            done = self.systemctl("is-system-running", check=False)
            said[:] = [(done.stdout + done.stderr).strip()]
            return said[0] in ("running", "degraded")

        try:
            wait_for("systemd runs", runs, 60, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {said} {self.process.output()} "
                                 f"{self.systemctl('list-jobs').stdout}"
                                 ) from None

    def _first(self):
        assert self.process.alive(), self.process.output()
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
        if not children:
            return None
        with open(f"/proc/{children[0]}/comm") as file:
            return int(children[0]) if "systemd" in file.read() else None

    def lose_power(self):
        """Every process of it is gone at once."""
        self.process.stop(signal.SIGKILL)
        wait_for("its end", lambda: not os.path.exists(f"/proc/{self.pid}"),
                 10)

    def close(self):
        """Its control groups outlive it."""
        if self.process:
            self.process.stop(signal.SIGKILL)
        subprocess.run(
            ["unshare", "--mount", "sh", "-c", "mount -t cgroup2 none /mnt && "
             "find \"/mnt/$1\" -depth -type d -exec rmdir {} +", "sh",
             self.lab.prefix + "system"], capture_output=True, timeout=20)

    def run(self, *argv, check=True, timeout=30):
        done = subprocess.run(
            ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net",
             "--", *argv], capture_output=True, text=True,
            timeout=timeout * SLOW)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}: "
                                 f"{done.stderr.strip()}\n{self.log()[-900:]}")
        return done

    def systemctl(self, *argv, check=True):
        return self.run("systemctl", *argv, check=check)

    # --- the service --------------------------------------------------------

    def show(self, name):
        return self.systemctl("show", "--value", "-p", name,
                              UNIT).stdout.strip()

    def main_pid(self):
        """As the container numbers its processes."""
        return self.show("MainPID")

    def kill(self, number):
        self.run("kill", f"-{number}", self.main_pid())

    def portico(self, *arguments):
        return json.loads(self.run("/usr/local/bin/portico", "--json",
                                   *arguments).stdout)

    def wait_serves(self, but="0", seconds=60):
        """Another process than `but` is ready and has an uplink."""
        def serves():
            pid = self.main_pid()
            if pid in ("0", but) or self.show("ActiveState") != "active":
                return None
            status = self.run("/usr/local/bin/portico", "--json", "status",
                              check=False)
            return status.returncode == 0 and \
                json.loads(status.stdout)["uplink"]["address"] and pid
        try:
            return wait_for("the service serves", serves, seconds, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-900:]}") from None

    def log(self):
        try:
            with open(self.path("run/log"), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""
