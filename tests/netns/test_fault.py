# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the daemon fail: shortages that it has to outlast. Every call in
turn is long_fault_*.py's, some drawn ones test_fault_drawn.py's."""
import time

from fault import unusable
from fault_bench import CONFIG, Bench
from lab import Skip
from netns import wait_for
from tools import limit

# Calls of the daemon itself or its helper (0.1), and the longest shortage of
# them.
SHORTAGES = [("socket", "EMFILE", "0"), ("calloc", "ENOMEM", "0"),
             ("open_memstream", "ENOMEM", "0"), ("fork", "EAGAIN", "0.1")]


@limit(120)
def test_a_shortage_while_the_uplink_moves_is_made_up_for(lab):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        bench.running()
        for call, what, process in SHORTAGES:
            before = bench.descriptors()
            bench.fault.arm(what, call=call, times=0, process=process)
            bench.move()
            wait_for(f"{call} of {process} fails", bench.fault.struck, 5)
            time.sleep(0.3)  # what comes meanwhile fails, too
            bench.fault.disarm()
            bench.recovers()
            wait_for("no descriptor more",
                     lambda: bench.descriptors() <= before, 3)
        bench.stop()
        bench.ended()


def test_a_loop_that_fails_is_an_end_with_a_reason(lab):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        bench.running()
        bench.fault.arm("EBADF", call="epoll_wait", process="0")
        assert bench.daemon.process.wait(5) == 1, bench.last()
        assert "event loop: Bad file descriptor" in bench.last()
        bench.ended()


def test_with_require_a_limit_that_cannot_be_had_is_no_start(lab):
    lab.need_sandbox()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        bench.daemon.configure({**CONFIG, "sandbox": "require"})
        for process, who in (("0", "sandbox: "), ("0.1", "the helper's: ")):
            bench.fault.arm("EPERM", call="setrlimit", process=process)
            assert not bench.start()
            assert bench.daemon.process.wait(5) == 1, bench.last()
            last = bench.last().split("\n")[-1]
            assert f"{who}no core file (Operation not permitted)" in last, last
            bench.fault.disarm()
            bench.ended()
        bench.daemon.configure(CONFIG)
        assert bench.start()
        bench.stop()


def test_the_bench_sees_a_missing_guard(lab):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        bench.ended()
        lab.remove_guard()
        try:
            bench.ended()
        except AssertionError as error:
            assert "seen outside" in str(error), error
        else:
            raise AssertionError("a leak was not seen")
        finally:
            lab.gw.sysctl("net.ipv4.ip_forward", 0)
            lab.leaks.read()
