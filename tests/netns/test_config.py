# SPDX-License-Identifier: GPL-2.0-or-later
"""A configuration that is wrong is refused in one line, and nothing happens
to the machine."""
import json
import os

from daemon import PORTICO, PORTICOD, merge
from lab import E, L1, R1
from tools import Who, ask

GOOD = {"uplink": {"device": "wan0"}, "inside": {"devices": ["lan0"]}}
WEB = {"name": "web", "proto": "tcp", "outside": 8080, "to": f"{L1}:80"}

# What is put into a good configuration, and what the message must name.
BAD = [
    ({"uplnk": {"device": "wan0"}}, "uplnk"),
    ({"uplink": {"devise": "wan0"}}, "devise"),
    ({"uplink": {"device": 5}}, "uplink.device"),
    ({"uplink": {"device": "a-name-that-is-far-too-long"}}, "uplink.device"),
    ({"uplink": {"device": "nosuch0"}}, "nosuch0"),
    ({"inside": {"devices": ["nosuch1"]}}, "nosuch1"),
    ({"inside": {"devices": ["wan0"]}}, "inside.devices"),
    ({"inside": {"devices": []}}, "inside.devices"),
    ({"inside": {"devices": "lan0"}}, "inside.devices"),
    ({"uplink": {"address": "203.0.113.300"}}, "uplink.address"),
    ({"uplink": {"ports": "2000-1000"}}, "uplink.ports"),
    ({"uplink": {"ports": "1024-70000"}}, "uplink.ports"),
    ({"uplink": {"ports": "0-100"}}, "uplink.ports"),
    ({"uplink": {"ports": ""}}, "uplink.ports"),
    ({"uplink": {"ports": "many"}}, "uplink.ports"),
    ({"filtering": {"udp": "sometimes"}}, "filtering.udp"),
    ({"timeouts": {"udp": 0}}, "timeouts.udp"),
    ({"timeouts": {"udp": 604801}}, "timeouts.udp"),
    ({"timeouts": {"udp": "long"}}, "timeouts.udp"),
    ({"timeouts": {"udp": 1.5}}, "timeouts.udp"),
    ({"limits": {"mappings": 0}}, "limits.mappings"),
    ({"limits": {"sessions": -5}}, "limits.sessions"),
    ({"limits": {"sessions": 10 ** 30}}, "limits.sessions"),
    ({"behaviour": {"hairpin": "yes"}}, "behaviour.hairpin"),
    ({"behaviour": {"refuse_code": 99}}, "behaviour.refuse_code"),
    ({"exempt": ["10.8.0.1/16"]}, "exempt"),
    ({"exempt": ["10.8.0.0/33"]}, "exempt"),
    ({"queue": {"number": 65535}}, "queue.number"),
    ({"queue": {"batch": 0}}, "queue.batch"),
    ({"queue": {"mark": "0x05000000"}}, "queue.mark"),
    ({"queue": {"mark": "blue"}}, "queue.mark"),
    ({"rules": "pf"}, "rules"),
    ({"fallback": "open"}, "fallback"),
    ({"mss": 1400}, "mss"),
    ({"forwards": [WEB, dict(WEB, name="again")]}, "forwards"),
    ({"forwards": [WEB, dict(WEB, name="wide", outside="8000-8100")]},
     "forwards"),
    ({"forwards": [dict(WEB, proto="sctp")]}, "forwards"),
    ({"forwards": [dict(WEB, outside=0)]}, "forwards"),
    ({"forwards": [dict(WEB, outside="9-8")]}, "forwards"),
    ({"forwards": [dict(WEB, outside="8000-8010", to=f"{L1}:65530")]},
     "forwards"),
    ({"forwards": [dict(WEB, to="192.168.1.10")]}, "forwards"),
    ({"forwards": [dict(WEB, to="house:80")]}, "forwards"),
    ({"forwards": [dict(WEB, **{"from": ["R1"]})]}, "forwards"),
    ({"forwards": [dict(WEB, colour="red")]}, "colour"),
    ({"forwards": ["web"]}, "forwards"),
    ({"control": ""}, "control"),
]

# Whole files.
BROKEN = {
    "nothing at all": b"",
    "only a comment": b"/* later */\n",
    "cut off": b'{ "uplink": { "device": "wan0"',
    "not JSON": b"uplink=wan0\n",
    "a list": b"[]",
    "more after the end": json.dumps(GOOD).encode() + b" {}",
    "zeros": bytes(1000),
    "noise": bytes(range(256)) * 40,
    "a key twice": b'{"uplink": {"device": "wan0"}, "inside": {"devices": '
                   b'["lan0"]}, "rules": "auto", "rules": "iptables"}',
    "very deep": b"[" * 100000,
}


def refused(lab, path, *words, check=True):
    """Neither --check-config nor a start takes the file."""
    for arguments in (["--check-config"], ["--foreground"])[not check:]:
        done = lab.gw.run(PORTICOD, *arguments, "--config", path,
                          check=False, timeout=5)
        said = (done.stdout + done.stderr).strip()
        assert done.returncode == 1, (arguments, words, done)
        assert len(said.split("\n")) == 1, (arguments, said)
        assert len(said) < 500, said
        for word in words:
            assert word in said, (arguments, word, said)


def write(lab, text):
    path = os.path.join(lab.directory, "bad.conf")
    with open(path, "wb") as file:
        file.write(text)
    return path


def untouched(lab):
    for kind in ("nft", "legacy"):
        rules = lab.gw.run(f"iptables-{kind}-save").stdout.lower()
        assert "portico" not in rules, rules
    assert lab.gw.sysctl("net.ipv4.ip_forward") == "0"
    assert lab.gw.sysctl("net.ipv4.ip_local_reserved_ports") == ""


def test_wrong_values_are_refused_by_key(lab):
    lab.need_portico()
    problems = []
    paths = {key: os.path.join(lab.directory, key)
             for key in ("control", "control_read", "state")}
    for change, word in BAD:
        text = json.dumps(merge(dict(GOOD, **paths), change),
                          indent=2).encode()
        # A device may be missing when only the file is checked.
        try:
            refused(lab, write(lab, text), word,
                    check="nosuch" not in word)
        except AssertionError as error:
            problems.append(f"{change}: {error}")
    assert not problems, f"{len(problems)} of {len(BAD)}: " + \
        "; ".join(problems)
    untouched(lab)


def test_broken_files_are_refused(lab):
    lab.need_portico()
    problems = []
    for what, text in BROKEN.items():
        try:
            refused(lab, write(lab, text), "bad.conf")
        except AssertionError as error:
            problems.append(f"{what}: {error}")
    assert not problems, problems
    untouched(lab)


def test_a_file_that_cannot_be_read_is_refused(lab):
    lab.need_portico()
    refused(lab, lab.directory + "/nosuch.conf", "nosuch.conf")
    refused(lab, lab.directory, lab.directory)
    untouched(lab)


def test_a_pool_that_is_all_the_routers_is_refused(lab):
    """By what this machine keeps for itself; also where it is only asked."""
    lab.need_portico()
    first = int(lab.gw.sysctl("net.ipv4.ip_local_port_range").split()[0])
    sentence = "uplink.router_ports leave no port for the pool"
    for last, bad in ((first + 2047, True), (first + 2048, False)):
        path = write(lab, json.dumps(merge(GOOD, {"uplink": {
            "ports": f"{first}-{last}", "low_ports": ""}})).encode())
        if bad:
            refused(lab, path, f"porticod: {sentence}")
        else:
            lab.gw.run(PORTICOD, "--check-config", "--config", path)
        done = lab.gw.run(PORTICO, "--json", "check", path, check=False)
        said = json.loads(done.stdout)
        assert done.returncode == bad, done
        assert said == ({"error": sentence} if bad else
                        {"ok": True, "warnings": []}), said
    untouched(lab)


def test_the_line_of_a_mistake_is_named(lab):
    lab.need_portico()
    text = json.dumps(merge(GOOD, {"timeouts": {"udp": 0}}), indent=1)
    line = [n for n, row in enumerate(text.split("\n"), 1)
            if '"udp"' in row][-1]
    refused(lab, write(lab, text.encode()), f"bad.conf:{line}:")


def test_comments_are_allowed(lab):
    lab.need_portico()
    path = write(lab, b'/* the gateway */\n{ // as JSON\n'
                      b'"uplink": {"device": "wan0"},\n'
                      b'"inside": {"devices": ["lan0"]} }\n// end\n')
    lab.gw.run(PORTICOD, "--check-config", "--config", path)


def test_a_timeout_below_the_rfcs_is_taken_with_a_warning(lab):
    lab.need_portico()
    lab.start(timeouts={"udp": 30})
    warnings = " ".join(lab.portico("status")["warnings"])
    assert "timeouts.udp" in warnings and "120" in warnings, warnings
    with Who(lab.wan, udp=[(R1, 7165)]):
        sock = lab.lan1.udp(L1, 5165)
        assert ask(sock, (R1, 7165)).startswith(E + ":")
        assert lab.mapping(f"{L1}:5165")["expires_s"] <= 30
        sock.close()
    lab.stop()


def test_a_device_that_no_rule_can_name_is_said(lab):
    """In automatic mode, in which nobody chose it."""
    lab.need_portico()
    lab.stop()
    lab.remove_guard()
    lab.gw.run("ip", "link", "add", "name", "br+x", "type", "bridge")
    lab.gw.run("ip", "addr", "add", "10.77.0.1/24", "dev", "br+x")
    path = write(lab, json.dumps({
        key: os.path.join(lab.directory, key)
        for key in ("control", "control_read", "state")}).encode())
    done = lab.gw.run(PORTICOD, "--foreground", "--config", path, check=False)
    lab.gw.run("ip", "link", "delete", "br+x")
    assert done.returncode == 1, done
    said = done.stderr.strip().split("\n")[-1]
    assert '"br+x"' in said and "rename it" in said, done.stderr
    untouched(lab)
