# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that takes the packets goes before other programs."""
import os

from lab import E, L1, R1
from test_sandbox import helper_of, what_the_manual_names
from tools import Who, ask

DEFAULT = -10


def nice_of(pid):
    return os.getpriority(os.PRIO_PROCESS, pid)


def nice_of_session(pid):
    """0 where the kernel does not group programs by session."""
    try:
        with open(f"/proc/{pid}/autogroup") as file:
            return int(file.read().split()[-1])
    except (FileNotFoundError, IndexError):
        return 0


def grouped():
    return os.path.exists("/proc/self/autogroup")


def test_packets_go_first_the_helper_does_not(lab):
    lab.need_portico()
    before = nice_of_session("self")
    daemon = lab.start(fresh=True)
    pid = daemon.process.pid
    assert nice_of(pid) == DEFAULT
    assert nice_of(helper_of(pid)) == nice_of(0)
    # Its session is that of these tests.
    assert nice_of_session(pid) == nice_of_session("self") == before


def test_as_the_configuration_says(lab):
    lab.need_portico()
    for nice in (-20, 0):
        daemon = lab.start(fresh=True, queue={"nice": nice})
        assert nice_of(daemon.process.pid) == (nice or nice_of(0))
        daemon.configure({"queue": {"nice": -1}})
        done = daemon.run("reload", check=False)
        assert done.returncode == 1 and "queue.nice" in done.stderr, done


def test_one_that_was_started_with_more_keeps_it(lab):
    lab.need_portico()
    more = str(-15 - nice_of(0))  # nice(1) adds
    daemon = lab.start(fresh=True, wrap=("nice", "-n", more))
    assert nice_of(daemon.process.pid) == -15


def test_a_session_of_its_own_goes_first_too(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True, wrap=("setsid",))
    assert nice_of_session(daemon.process.pid) == (DEFAULT if grouped() else 0)


def test_without_the_right_it_says_so_and_works(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True, wrap=("setpriv", "--bounding-set",
                                         "-sys_nice"))
    assert nice_of(daemon.process.pid) == nice_of(0)
    assert "no precedence over other programs (nice -10)" in daemon.log()
    with Who(lab.wan, udp=[(R1, 7380)]):
        sock = lab.lan1.udp(L1, 5380)
        assert ask(sock, (R1, 7380)).startswith(E + ":")
        sock.close()


def test_what_the_manual_names_is_enough_for_it(lab):
    lab.need_sandbox()
    daemon = lab.start(fresh=True, wrap=what_the_manual_names())
    assert nice_of(daemon.process.pid) == DEFAULT
