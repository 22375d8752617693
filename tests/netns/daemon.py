# SPDX-License-Identifier: GPL-2.0-or-later
"""One porticod in a gateway namespace, and the portico command beside it."""
import copy
import json
import os
import signal
import subprocess

from netns import wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("PORTICO_BUILD",
                                       os.path.join(ROOT, "build")))
PORTICOD = os.path.join(BUILD, "porticod")
PORTICO = os.path.join(BUILD, "portico")
# The kind of rules that "auto" must choose here, where that is known.
BACKEND = os.environ.get("PORTICO_TEST_BACKEND")
# What every daemon's configuration holds where its test says nothing else, as
# JSON (tests/coverage).
COMMON = json.loads(os.environ.get("PORTICO_TEST_CONFIG", "{}"))


def merge(base, changes):
    """base with changes put in, object by object."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


class Daemon:
    """config: what differs from `base`; wrap: a command line put before the
    daemon's own."""

    def __init__(self, namespace, directory, base, config, wrap=()):
        self.namespace = namespace
        self.directory = directory
        self.wrap = list(wrap)
        self.config = {}
        self.process = None
        self.path = os.path.join(directory, "portico.conf")
        self.control = os.path.join(directory, "portico.sock")
        self.control_read = os.path.join(directory, "monitor.sock")
        self.state = os.path.join(directory, "state")
        self.base = merge(merge(COMMON, base), {
            "control": self.control, "control_read": self.control_read,
            "state": self.state})
        self.configure(config)

    def configure(self, config):
        """Writes the configuration file; the daemon is not told."""
        self.config = copy.deepcopy(config)
        with open(self.path, "w") as file:
            json.dump(merge(self.base, config), file, indent=2)

    def start(self, ready="address"):
        """ready: "address" waits until status shows the uplink's address,
        "answer" until status answers, None not at all."""
        self.process = self.namespace.start(
            *self.wrap, PORTICOD, "--foreground", "--config", self.path)
        if ready:
            self.wait_ready(ready == "address")
        return self

    def wait_ready(self, address=True, seconds=15):
        def answers():
            if not self.process.alive():
                raise AssertionError(
                    f"porticod ended with {self.process.popen.returncode}: "
                    f"{self.process.output().strip()[-600:]}")
            done = self.run("--json", "status", check=False)
            if done.returncode != 0:
                return False
            status = json.loads(done.stdout)
            if BACKEND and not self.wrap and "rules" not in self.config:
                assert status["backend"] == BACKEND, status
            return not address or status["uplink"]["address"]

        wait_for("porticod's status answers", answers, seconds, 0.03)

    def alive(self):
        return self.process is not None and self.process.alive()

    def log(self):
        return self.process.output() if self.process else ""

    def stop(self, number=signal.SIGTERM):
        """Ends it and returns its exit status."""
        if not self.process:
            return None
        was_alive = self.process.alive()
        status = self.process.stop(number, 10)
        if number == signal.SIGTERM and was_alive and status != 0:
            raise AssertionError(f"porticod ended with {status} at SIGTERM: "
                                 f"{self.log()[-600:]}")
        return status

    def kill(self):
        return self.stop(signal.SIGKILL)

    def reload(self, config):
        """Another configuration, put in force by `portico reload`."""
        self.configure(config)
        self.run("reload")

    def run(self, *arguments, check=True, socket=None, timeout=20):
        """The portico command as an operator would call it."""
        return self.namespace.run(PORTICO, "--socket",
                                  socket or self.control, *arguments,
                                  check=check, timeout=timeout)

    def json(self, *arguments):
        return json.loads(self.run("--json", *arguments).stdout)


def remove_guard(namespace):
    return namespace.run(PORTICOD, "--remove-guard")


def missing_programs():
    """Why no test can run, or None."""
    if os.geteuid() != 0:
        return "not root"
    for path in (PORTICOD, PORTICO):
        if not os.access(path, os.X_OK):
            return f"{path} is not built"
    return None


def nfqueue_missing(namespace):
    """Why the kernel of this namespace cannot queue packets, or None."""
    tries = [["nft", "add table ip t; add chain ip t c { type filter hook "
                     "prerouting priority raw; }; add rule ip t c queue num "
                     "999"]]
    tries += [[f"iptables-{kind}", "-w", "-t", "raw", "-A", "PREROUTING",
               "-j", "NFQUEUE", "--queue-num", "999"]
              for kind in ("nft", "legacy")]
    said = ""
    for argv in tries:
        try:
            done = namespace.run(*argv, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            said = str(error)
            continue
        if done.returncode == 0:
            return None
        said = done.stderr.strip().split("\n")[-1]
    return f"the kernel has no NFQUEUE ({said})"
