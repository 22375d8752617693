# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured of a way. A visit to a way gives one value of each figure;
the figures are medians over the rounds."""
import contextlib
import json
import math
import os
import statistics
import subprocess
import time

from topology import HOST, SERVER, Topology, fail, sh
from ways import LARGE, WAYS

RATE = 50000  # packets a second, offered while latency and CPU are measured
SIZES = (10000, 60000)
CONNECTIONS = 10000
# A session may be handed over by the packet after its first answer; answers may
# be lost where something else runs.
ANSWERS, ANSWER_TRIES = 2, 3
# Of TCP, before the first probe and after the last one.
BULK_BEFORE, BULK_AFTER = 0.4, 0.4
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}
TCP = {"tcp_out_1": ("-P", "1"), "tcp_out_8": ("-P", "8"),
       "tcp_in_1": ("-P", "1", "-R"), "tcp_in_8": ("-P", "8", "-R")}
# Memory: limits, name, mappings, peers of each.
ONE_SESSION = {**LARGE, "sessions": 65536}
MANY_SESSIONS = {**LARGE, "sessions": 524288, "host_sessions": 524288}
MEMORY = ((ONE_SESSION, "mappings_1000", 1000, 1),
          (ONE_SESSION, "mappings_16000", 16000, 1),
          (ONE_SESSION, "mappings_60000", 60000, 1),
          (MANY_SESSIONS, "sessions_500000", 5000, 100))
A_MAPPING = 16000, 60000


def among(names, *wanted):
    return [name for name in wanted if name in names]


class Bench:
    def __init__(self, arguments, directory):
        self.arguments, self.directory = arguments, directory
        self.results = {}
        self.remarks = []
        # The scheduler likes to wake a reader beside its writer, and would
        # measure one processor in one round and two in the next.
        cpus = os.sched_getaffinity(0)
        self.cpu = max(cpus)
        self.other_cpus = cpus - {self.cpu} or cpus
        self.net = self.paths = None

    @contextlib.contextmanager
    def way(self, name):
        """In a network of its own."""
        with Topology() as self.net:
            self.paths = self.net.via(), self.net.own()
            yield WAYS[name](self.net, self.arguments.build, self.directory)

    @contextlib.contextmanager
    def opened(self, name, limits=None):
        with self.way(name) as way, way.opened(limits):
            yield way

    @contextlib.contextmanager
    def resident(self, name, limits=None):
        """Portico's table of what the kernel carries has its full size from
        the start: here that of the defaults."""
        with self.way(name) as way:
            if name == "portico":
                way.fast_path = {}
            with way.opened(limits):
                yield way

    def note(self, figure, way, value):
        self.results.setdefault(figure, {}).setdefault(way.name,
                                                       []).append(value)

    def remark(self, text):
        if text not in self.remarks:
            self.remarks.append(text)

    def program(self, name, *words):
        done = sh("taskset", "-c", str(self.cpu),
                  os.path.join(self.arguments.build, "tests/bench", name),
                  *words, check=False, timeout=60)
        if done.returncode:
            fail(f"{name} {' '.join(words)}: {done.stdout} {done.stderr}")
        return json.loads(done.stdout)

    # --- TCP ----------------------------------------------------------------

    def tcp(self, *words):
        seconds = self.arguments.tcp_seconds
        done = self.net.run(self.net.host, "iperf3", "-c", SERVER, "-J", "-t",
                            str(seconds), *words, timeout=seconds + 20)
        end = json.loads(done.stdout)["end"]
        return end["sum_received"]["bits_per_second"] / 1e9

    def new_tcp(self, way):
        out = self.program("connector", self.net.host, HOST, self.net.server,
                           SERVER, str(CONNECTIONS), str(self.cpu),
                           str(min(self.other_cpus)))
        if out["failed"]:
            self.remark(f"{way.name}: {out['failed']} of {CONNECTIONS} TCP "
                        "connections failed")
        if out["via"]:
            self.note("datapath.new_tcp", way,
                      1e9 / statistics.median(out["via"]))

    # --- small packets ------------------------------------------------------

    def generate(self, manner, *words, own=False):
        via, own_way = self.paths
        return self.program(
            "generator", "-w", via, *(("-o", own_way) if own else ()),
            "-s", self.net.server, "-D", "s0", "-h", HOST, "-d", SERVER,
            *words, manner)

    def small(self, way, size):
        """The least of several short turns, each way's and the generator's
        own: what else runs only ever adds."""
        turns = self.arguments.turns
        out = self.generate("flood", "-n", str(size), "-t",
                            str(self.arguments.turn_seconds), "-r",
                            str(turns), own=True)
        if out["stalled"]:
            self.remark(f"{way.name}: nothing came through in {out['stalled']}"
                        f" of {turns} turns, {size} mappings")
        own = min(out["own"])
        self.note("own.flood", way, own)
        self.note(f"datapath.udp_small_{size}", way,
                  max(min(out["via"]) - own, 1))
        self.note(f"pace.udp_small_{size}", way, 1e9 / min(out["via"]))

    def lossless(self, way):
        before, turns = way.cpu_ns(), self.arguments.turns
        out = self.generate("window", "-n", "64", "-t",
                            str(self.arguments.turn_seconds), "-r",
                            str(turns), own=True)
        daemon = (way.cpu_ns() - before) / out["packets"]
        self.note("own.window", way, min(out["own"]))
        self.note("datapath.udp_lossless_64", way,
                  max(min(out["via"]) - min(out["own"]), 1))
        self.note("cpu.udp_lossless_64", way, max(
            statistics.median(out["via_cpu"]) + daemon -
            statistics.median(out["own_cpu"]), 1))

    def open_flows(self, way, first, count, *words):
        """Returns ns a flow, chunk by chunk."""
        out = self.generate("open", "-f", str(first), "-n", str(count), *words)
        if out["lost"]:
            self.remark(f"{way.name}: {out['lost']} of {count} first packets "
                        "were lost")
        return out["via"]

    def hand_over(self, way, count):
        """Where established sessions are carried past the program: answers
        `count` flows, until they are."""
        if way.carried() is None:
            return
        for _ in range(ANSWER_TRIES):
            self.generate("answer", "-n", str(count), "-r", str(ANSWERS))
            there = way.carried()
            if there >= count * 0.99:
                return
        fail(f"{way.name}: {there} sessions carried where {count} were "
             "answered")

    def need_mappings(self, way, count):
        there = way.mappings()
        if there is not None and there < count * 0.99:
            fail(f"{way.name}: {there} mappings where {count} were opened")

    # --- latency and processor time at a fixed rate -------------------------

    def roundtrip(self, *words, via=True):
        return self.program(
            "roundtrip", "-w", self.paths[not via], "-i", self.net.host, "-s",
            self.net.server, "-h", HOST, "-d", SERVER, "-n", "64", "-t",
            str(self.arguments.latency_seconds), *words)

    def latency(self, way, state, *words):
        out = self.roundtrip(*words)
        if out["lost"]:
            self.remark(f"{way.name}: {out['lost']} probes were lost, {state}")
        rtt = out["rtt_ns"]
        if not rtt:
            fail(f"{way.name}: no probe came back")
        for name, part in PERCENTILES.items():
            self.note(f"latency.{state}_{name}", way,
                      rtt[min(int(len(rtt) * part), len(rtt) - 1)] / 1000)

    def latency_beside_bulk(self, way):
        # Whole seconds: iperf3 knows no others.
        seconds = math.ceil(BULK_BEFORE + self.arguments.latency_seconds +
                            BULK_AFTER)
        bulk = self.net.start(self.net.host, "iperf3", "-c", SERVER, "-t",
                              str(seconds), *TCP["tcp_out_8"],
                              stdout=subprocess.DEVNULL)
        time.sleep(BULK_BEFORE)
        self.latency(way, "bulk")
        if bulk.poll() is not None:
            self.remark(f"{way.name}: bulk TCP ended before the probes did")
        bulk.wait(20)

    def cpu_at_rate(self, way):
        own = self.roundtrip("-r", str(RATE), "-q", via=False)
        before = way.cpu_ns()
        out = self.roundtrip("-r", str(RATE), "-q")
        daemon = (way.cpu_ns() - before) / out["packets"]
        if out["packets"] < 0.9 * RATE * self.arguments.latency_seconds:
            self.remark(f"{way.name}: the offered rate was not reached")
        # Percent of one processor.
        self.note(f"cpu.udp_{RATE}_pps", way, RATE / 1e7 * max(
            out["cpu_ns_per_packet"] - own["cpu_ns_per_packet"] + daemon, 1))

    # --- a visit ------------------------------------------------------------

    def visit(self, name):
        with self.way(name) as way:
            with way.opened():
                self.few_mappings(way)
            with way.opened(LARGE):
                self.many_mappings(way)
            with way.opened(LARGE):
                way.pin(self.other_cpus)
                self.new_tcp(way)

    def few_mappings(self, way):
        self.net.start(self.net.server, "iperf3", "-s",
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.net.await_port(self.net.server, 5201)
        for case, words in TCP.items():
            self.note(f"datapath.{case}", way, self.tcp(*words))
        way.pin(self.other_cpus)
        self.hand_over(way, 64)
        self.small(way, 64)
        self.lossless(way)
        self.latency(way, "idle")
        self.latency(way, "load", "-r", str(RATE))
        self.latency_beside_bulk(way)
        self.cpu_at_rate(way)

    def many_mappings(self, way):
        way.pin(self.other_cpus)
        opened = 0
        for size in SIZES:
            spent = self.open_flows(way, opened, size - opened)
            self.need_mappings(way, size)
            self.hand_over(way, size)
            self.small(way, size)
            opened = size
        # Of the last and largest part, which was opened at one go.
        self.note("datapath.new_udp", way, 1e9 / statistics.median(spent))

    def run(self, names):
        """In turns, and each round in the other direction."""
        rounds = self.arguments.rounds
        for turn in range(rounds):
            for name in names if turn % 2 == 0 else reversed(names):
                self.arguments.say(f"round {turn + 1}/{rounds}: {name}")
                self.visit(name)

    # --- memory -------------------------------------------------------------

    def fill(self, way, mappings, peers):
        """Returns the memory in use with that many."""
        self.open_flows(way, 0, mappings * peers, "-m", str(mappings), "-p",
                        "44.0.0.0")
        self.need_mappings(way, mappings)
        return way.memory_kb()

    def memory(self, names):
        """Once: it does not vary. Only small packets came, so each receive
        buffer has a page or two."""
        for name in among(names, "echo", "queue", "portico"):
            with self.resident(name) as way:
                time.sleep(0.2)
                self.note("memory.mappings_0", way, way.memory_kb())
        for limits, figure, mappings, peers in MEMORY:
            for name in among(names, "queue", "portico"):
                with self.resident(name, limits) as way:
                    self.note(f"memory.{figure}", way,
                              self.fill(way, mappings, peers))
        for name in among(names, "masquerade", "queue", "portico"):
            with self.resident(name, ONE_SESSION) as way:
                few, many = (self.fill(way, count, 1) for count in A_MAPPING)
                self.note("memory.mapping", way, 1024 * (many - few) / (
                    A_MAPPING[1] - A_MAPPING[0]))
