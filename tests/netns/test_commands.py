# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command makes of the daemon's answers, while real traffic flows."""
import re

from lab import R1
from tools import Who, ask

SAMPLE = re.compile(r'([a-z_]+)(?:\{(\w+="[^"\\]*"(?:,\w+="[^"\\]*")*)\})? '
                    r'(\d+)')


def exposition(text):
    """{(name, labels): number} of the text format of Prometheus, strictly:
    HELP, TYPE, then all samples of a metric, each of them once."""
    found, told, metric, step = {}, set(), None, "sample"
    assert text.endswith("\n"), text[-100:]
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            assert step == "sample", line
            metric, step = line.split(" ", 3)[2], "help"
            assert metric not in told and line.split(" ", 3)[3], line
            told.add(metric)
        elif line.startswith("# TYPE "):
            kind = "counter" if metric.endswith("_total") else "gauge"
            assert step == "help" and line == f"# TYPE {metric} {kind}", line
            step = "sample"
        else:
            match = SAMPLE.fullmatch(line)
            assert match and match[1] == metric and step == "sample", line
            assert match.group(1, 2) not in found, line
            found[match.group(1, 2)] = int(match[3])
    assert step == "sample", metric
    return found


def test_metrics_are_those_of_the_status(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7180)]):
        sock = lab.lan1.udp()
        for _ in range(5):
            ask(sock, (R1, 7180))
        sock.close()
    found = exposition(daemon.run("metrics").stdout)
    status = lab.portico("status")
    assert found["portico_up", None] == 1
    assert found["portico_mappings", None] == status["mappings"]["used"] == 1
    assert found["portico_hosts", None] == 1
    assert found["portico_packets_total", 'direction="outbound"'] >= 5
    for proto, counts in status["ports"].items():
        for state, count in counts.items():
            labels = f'proto="{proto}",state="{state}"'
            assert found["portico_ports", labels] == count, labels
    assert found["portico_warnings", None] == len(status["warnings"])
    # Who may only look may collect.
    again = exposition(daemon.run("metrics",
                                  socket=daemon.control_read).stdout)
    assert again.keys() == found.keys()


def test_metrics_say_that_the_daemon_is_gone(lab):
    lab.need_portico()
    daemon = lab.start()
    lab.stop()
    done = daemon.run("metrics", check=False)
    assert done.returncode == 3 and "no daemon answers" in done.stderr, done
    assert exposition(done.stdout) == {("portico_up", None): 0}
    done = daemon.run("--json", "metrics", check=False)
    assert done.returncode == 2 and not done.stdout, done
