# SPDX-License-Identifier: GPL-2.0-or-later
"""A router in a directory: the package as its own install recipe makes it, with
stand-ins for the parts of OpenWrt that its scripts use. Nothing outside of the
directory is touched."""
import atexit
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.abspath(os.path.join(HERE, "..", ".."))
BUILD = os.path.abspath(os.environ.get("PORTICO_BUILD",
                                       os.path.join(TREE, "build")))
FEED = os.path.join(TREE, "openwrt")
STANDIN = os.path.join(HERE, "standin")
PACKAGES = ("portico", "portico-dev", "portico-bpf", "uthash")
LIMIT_S = 60  # for one program
# Tests run in threads; what is made once is made by one of them.
once = threading.RLock()


class Skip(Exception):
    """The test cannot run here, and why."""


def read(*path):
    with open(os.path.join(*path)) as file:
        return file.read()


def write(text, *path):
    os.makedirs(os.path.dirname(os.path.join(*path)), exist_ok=True)
    with open(os.path.join(*path), "w") as file:
        file.write(text)


def directory():
    path = tempfile.mkdtemp(prefix="portico-openwrt-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def run(*argv, **options):
    return subprocess.run(argv, text=True, capture_output=True,
                          timeout=LIMIT_S, **options)


def need(program):
    if not shutil.which(program):
        raise Skip(f"there is no {program}")


def feed_make(package, out, *goals, tree=TREE):
    """Evaluates a package's Makefile as OpenWrt's build system would."""
    build = os.path.join(STANDIN, "build")
    done = run("make", "-C", os.path.join(tree, "openwrt", package),
               "--no-print-directory", f"TOPDIR={build}",
               f"INCLUDE_DIR={build}", f"TREE={tree}", f"OUT={out}",
               f"PORTICO_BUILD={BUILD}", *goals)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def cached(function):
    """Its results are kept; not called by two threads at once."""
    keeper = functools.lru_cache(maxsize=None)(function)

    def call(*arguments):
        with once:
            return keeper(*arguments)
    return call


@cached
def fields(package):
    """{binary package: {field: value}} of one Makefile."""
    found = {}
    for line in feed_make(package, directory(), "describe").splitlines():
        words = line.split(" ", 2)
        if len(words) >= 2 and words[1].isupper():
            found.setdefault(words[0], {})[words[1]] = \
                words[2] if len(words) == 3 else ""
    return found


@cached
def contents(package):
    """Where the packages of one Makefile lie, each in its own directory."""
    out = directory()
    feed_make(package, out, "install")
    return out


UCI = """
config portico 'main'
	option enabled '1'

config uplink 'uplink'
	option interface 'wan'

config inside 'inside'
	list interface 'lan'
"""


def shipped(*names):
    """A file of the package."""
    return read(contents("portico"), "portico", *names)


class Router:
    def __init__(self, config=UCI, devices=(("wan", "eth1"),
                                            ("lan", "br-lan"))):
        self.root = os.path.join(directory(), "root")
        shutil.copytree(os.path.join(contents("portico"), "portico"),
                        self.root)
        for name in ("functions.sh", "rc.common"):
            shutil.copy(os.path.join(STANDIN, name), self.made("lib", name))
        for name in ("network.sh", "procd.sh"):
            shutil.copy(os.path.join(STANDIN, name),
                        self.made("lib/functions", name))
        self.configure(config)
        for interface, device in devices:
            self.up(interface, device)
        self.run("fw4", "reload")
        self.taken = len(read(self.root, "events").splitlines())

    def path(self, *names):
        return os.path.join(self.root, *names)

    def made(self, *names):
        os.makedirs(os.path.dirname(self.path(*names)), exist_ok=True)
        return self.path(*names)

    def configure(self, text):
        write(text, self.root, "etc/config/portico")

    def up(self, interface, device):
        write(device, self.root, "net", interface)

    def down(self, interface):
        os.unlink(self.path("net", interface))

    def environment(self, **more):
        path = os.path.join(STANDIN, "bin") + ":" + os.environ["PATH"]
        return {**os.environ, "IPKG_INSTROOT": self.root, "PATH": path,
                "PORTICO_BUILD": BUILD, **more}

    def run(self, *argv):
        return run(*argv, env=self.environment())

    def service(self, action, code=0, closed="", **environment):
        """`service portico ACTION`; what procd does about it, as words. Begun
        with some files closed, as `0<&-`."""
        need("busybox")
        done = run("busybox", "ash", "-c", f'exec busybox ash "$@" {closed}',
                   "ash", self.path("lib/rc.common"),
                   self.path("etc/init.d/portico"), action,
                   env=self.environment(**environment))
        assert done.returncode == code, (done.returncode, done.stderr)
        self.said = done.stdout + done.stderr
        return self.events()

    def events(self):
        """What happened since the last call."""
        if not os.path.exists(self.path("events")):
            return []
        everything = read(self.root, "events").splitlines()
        self.taken, before = len(everything), self.taken
        return everything[before:]

    def instance(self):
        """What procd was told of the one instance."""
        return json.loads(read(self.root, "procd.json"))["instances"]["main"]

    def rest(self):
        return json.loads(read(self.root, "procd.json"))["rest"]

    def log(self):
        return read(self.root, "log") if os.path.exists(
            self.path("log")) else ""

    def rendered(self):
        return read(self.root, "var/etc/portico.conf")

    def json(self):
        return uncomment(self.rendered())


def uncomment(text):
    """The daemon's configuration as a value."""
    return json.loads(re.sub(r"/\*.*?\*/|^\s*//.*$", "", text, flags=re.M))
