# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon whose clock is not the one that its table was written by: in a time
namespace of its own, or with a wall clock that is wrong."""
import os
import subprocess
import time

from daemon import BUILD
from lab import E, L1, L2, R1, Skip
from netns import SLOW, wait_for
from restart import state_line
from tools import Who, ask, ask_tcp, limit

WALL = os.path.join(BUILD, "tests", "netns", "preload", "wall.so")
DAY = 86400
FORWARD = {"name": "a", "proto": "udp", "outside": 8301, "to": f"{L1}:80"}
SETTINGS = {"timeouts": {"udp": 6, "port_hold": int(2 * SLOW)},
            "forwards": [FORWARD]}


def boottime(days):
    """A command line in whose time namespace the machine is older. Who asks for
    one only gets it for its children; Linux 6.1 does not enter it at exec."""
    offset = str(days * DAY)
    return ["unshare", "--time", "--monotonic", offset, "--boottime", offset,
            "nsenter", "--time=/proc/self/ns/time_for_children"]


def need_time_namespaces(lab):
    lab.need_portico()
    done = subprocess.run(boottime(1) + ["cat", "/proc/uptime"],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"no time namespaces: {done.stderr.strip()}")
    older = float(done.stdout.split()[0]) - time.clock_gettime(
        time.CLOCK_BOOTTIME)
    assert abs(older - DAY) < 60, older


def restart(lab, wrap):
    lab.daemon.kill()
    lab.daemon.wrap = wrap
    lab.daemon.start()
    return state_line(lab.daemon)


class Hosts:
    """Two inside sockets with one port number, and a connection."""

    def __init__(self, lab, port):
        self.lab, self.peer = lab, (R1, port)
        self.first, self.second = lab.lan1.udp(L1, port), lab.lan2.udp(L2,
                                                                       port)
        self.tcp = lab.lan1.tcp(self.peer)

    def udp(self):
        return ask(self.first, self.peer), ask(self.second, self.peer)

    def close(self):
        for sock in (self.first, self.second, self.tcp):
            sock.close()


def check_new_life(hosts, before):
    """What was over has left its ports at rest; all begins anew, the forward
    serves on, and timeouts are the configured ones."""
    lab = hosts.lab
    after = hosts.udp()
    assert not set(after) & set(before), (before, after)
    assert after[0] != after[1]
    assert hosts.udp() == after
    again = lab.lan1.tcp(hosts.peer)
    ask_tcp(again)
    with Who(lab.lan1, udp=[(L1, 80)]):
        outsider = lab.wan.udp()
        ask(outsider, (E, 8301))
        outsider.close()
    began = time.monotonic()
    hosts.udp()
    lives = 0
    while lab.mapping(f"{L2}:{hosts.peer[1]}"):
        lives = time.monotonic() - began
        assert lives < 30, "it never ends"
        time.sleep(0.1)
    assert lives > 4, f"it ended after {lives:.1f} s"
    wait_for("the ports to have rested", lambda: lab.portico("status")[
        "ports"]["udp"]["held"] == 0, 15)
    assert ask_tcp(again)
    again.close()
    return lives


@limit(90)
def test_a_clock_ten_days_ahead_ends_what_is_over(lab):
    """As if the machine had slept: ten days without a packet are longer than
    any timeout here. Nothing of it is damage."""
    need_time_namespaces(lab)
    lab.start(fresh=True, **SETTINGS)
    with Who(lab.wan, udp=[(R1, 7501)], tcp=[(R1, 7501)]):
        hosts = Hosts(lab, 7501)
        before = hosts.udp()
        ask_tcp(hosts.tcp)
        line = restart(lab, boottime(10))
        assert "4 mappings, 3 sessions" in line, line
        assert "dropped: nothing" in line, line
        lives = check_new_life(hosts, before)
        hosts.close()
    lab.stop()
    return f"a new mapping lived {lives:.1f} s of 6"


@limit(90)
def test_a_clock_ten_days_behind_drops_what_is_of_the_future(lab):
    """Within one boot that clock never goes back; where it does all the same,
    nobody can say how old anything is. It is told, and ports rest."""
    need_time_namespaces(lab)
    lab.start(fresh=True, wrap=boottime(20), **SETTINGS)
    with Who(lab.wan, udp=[(R1, 7502)], tcp=[(R1, 7502)]):
        hosts = Hosts(lab, 7502)
        before = hosts.udp()
        ask_tcp(hosts.tcp)
        line = restart(lab, boottime(10))
        assert "0 mappings, 0 sessions" in line, line
        assert "3 ports at rest" in line, line
        assert "4 records out of range" in line, line
        lives = check_new_life(hosts, before)
        hosts.close()
    lab.stop()
    return f"a new mapping lived {lives:.1f} s of 6"


@limit(90)
def test_the_same_clock_elsewhere_is_no_jump(lab):
    need_time_namespaces(lab)
    lab.start(fresh=True, wrap=boottime(10))
    with Who(lab.wan, udp=[(R1, 7503)], tcp=[(R1, 7503)]):
        hosts = Hosts(lab, 7503)
        before = hosts.udp(), ask_tcp(hosts.tcp)
        line = restart(lab, boottime(10))
        assert "dropped: nothing" in line, line
        assert (hosts.udp(), ask_tcp(hosts.tcp)) == before
        hosts.close()
    lab.stop()


@limit(90)
def test_a_wall_clock_that_is_wrong_changes_nothing(lab):
    """1970, 2001, 2100, each of a daemon that goes on with the last one's
    table."""
    lab.need_portico()
    if not os.path.exists(WALL):
        raise Skip(f"{WALL} is not built")
    years = [["env", f"LD_PRELOAD={WALL}", f"PORTICO_TEST_WALL={seconds}"]
             for seconds in (0, 978307200, 4102444800)]
    date = subprocess.run(years[2] + ["date", "-u", "+%Y"], text=True,
                          capture_output=True, check=True).stdout
    assert date == "2100\n", date
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7504)], tcp=[(R1, 7504)]):
        hosts = Hosts(lab, 7504)
        before = hosts.udp(), ask_tcp(hosts.tcp)
        for wrap in years:
            line = restart(lab, wrap)
            assert "dropped: nothing" in line, line
            assert (hosts.udp(), ask_tcp(hosts.tcp)) == before
            assert WALL in lab.gw.run(
                "cat", f"/proc/{lab.daemon.process.pid}/maps").stdout
        lab.daemon.configure(SETTINGS)
        restart(lab, years[0])
        hosts.udp()
        wait_for("the mappings to end", lambda: not lab.mapping(
            f"{L2}:7504"), 15)
        assert ask_tcp(hosts.tcp) == before[1]
        hosts.close()
    lab.stop()
