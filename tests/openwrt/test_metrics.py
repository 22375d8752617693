# SPDX-License-Identifier: GPL-2.0-or-later
"""The collectors of prometheus-node-exporter, run on what `portico --json
status` says, and `portico metrics`; golden/status.json is such an answer, with
every key that the manual names."""
import json
import os
import re
import shutil
import socket
import threading

from router import BUILD, HERE, STANDIN, TREE, Skip, contents, directory, \
    read, run, write

LUA = "prometheus-node-exporter-lua-portico/usr/lib/lua/" \
      "prometheus-collectors/portico.lua"
UCODE = "prometheus-node-exporter-ucode-portico/usr/share/ucode/" \
        "node-exporter/lib/portico.uc"


def interpreter(*names):
    for name in names:
        if shutil.which(name):
            return name
    raise Skip(f"there is no {names[0]}")


def scraped(program, exporter, collector, answer):
    """What the exporter prints when the command `portico` says `answer`;
    None: there is no daemon."""
    where = directory()
    write("#!/bin/sh\n" + ("exit 3\n" if answer is None else
                           f"cat {where}/answer\n"), where, "portico")
    os.chmod(where + "/portico", 0o755)
    write(answer or "", where, "answer")
    done = run(program, os.path.join(STANDIN, exporter),
               os.path.join(contents("portico"), collector),
               env={**os.environ, "PATH": where + ":" + os.environ["PATH"]})
    if "module 'cjson' not found" in done.stderr:
        raise Skip("there is no lua-cjson")
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_lua(answer):
    return scraped(interpreter("lua5.1", "lua"), "exporter.lua", LUA, answer)


def by_ucode(answer):
    return scraped(interpreter("ucode"), "exporter.uc", UCODE, answer)


def by_command(answer):
    """What `portico metrics` prints, without its HELP lines, and how it ends,
    when the daemon says `answer`; None: there is no daemon."""
    path = os.path.join(directory(), "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        if answer is not None:
            listener.bind(path)
            listener.listen()
            listener.settimeout(10)
            threading.Thread(target=say, args=(listener, answer)).start()
        done = run(os.path.join(BUILD, "portico"), "--socket", path,
                   "metrics")
    described = re.findall(r"^# HELP (\w+) \S.*\n# TYPE (\w+) ", done.stdout,
                           re.M)
    typed = re.findall(r"^# TYPE (\w+) ", done.stdout, re.M)
    assert described == [(name, name) for name in typed], done.stdout
    assert bool(done.stderr) == bool(done.returncode), done.stderr
    return re.sub("^# HELP .*\n", "", done.stdout, flags=re.M), \
        done.returncode


def say(listener, answer):
    with listener.accept()[0] as client:
        asked = json.loads(client.recv(4096))
        assert asked == {"command": "status"}, asked
        client.sendall(" ".join(answer.split()).encode() + b"\n")


def test_lua_prints_the_metrics_of_a_status():
    text = by_lua(read(HERE, "golden", "status.json"))
    if os.environ.get("WRITE_GOLDEN"):
        write(text, HERE, "golden", "status.metrics")
    assert text == read(HERE, "golden", "status.metrics"), text


def test_ucode_prints_the_same_metrics():
    text = by_ucode(read(HERE, "golden", "status.json"))
    assert text == read(HERE, "golden", "status.metrics"), text


def test_the_command_prints_the_same_metrics():
    text, code = by_command(read(HERE, "golden", "status.json"))
    assert (text, code) == (read(HERE, "golden", "status.metrics"), 0), text


def test_the_command_says_that_there_is_no_daemon():
    down = "# TYPE portico_up gauge\nportico_up 0\n"
    assert by_command(None) == (down, 3)
    assert by_command("not JSON") == (down, 1)
    assert by_command('{"error":"too many requests"}') == (down, 1)


def test_lua_says_that_there_is_no_daemon():
    down = "# TYPE portico_up gauge\nportico_up 0\n"
    assert by_lua(None) == down
    assert by_lua("not JSON") == down


def test_ucode_says_that_there_is_no_daemon():
    assert by_ucode(None) == "# TYPE portico_up gauge\nportico_up 0\n"


def test_ucode_starts_no_program():
    """Its exporter is in a jail, without a shell, the command and its socket."""
    assert not re.search(r"\b(popen|system)\b", read(contents("portico"), UCODE))


def test_both_collectors_know_the_same_metrics():
    lua, ucode = (set(re.findall(r'"(portico_\w+)"', read(
        contents("portico"), path))) for path in (LUA, UCODE))
    assert lua == ucode and lua, lua ^ ucode


def test_the_status_is_one_that_a_daemon_would_give():
    """Its keys are those of the manual's JSON section."""
    manual = read(TREE, "platform", "man", "portico.8")
    section = re.search(r"^\.Ss status$(.*?)^\.Ss ", manual, re.M | re.S)[1]
    told = set()
    for line in re.findall(r"^\.It Cm (.*)$", section, re.M):
        told |= set(line.replace(" ,", "").split())
    assert set(json.loads(read(HERE, "golden", "status.json"))) == told


def test_no_metric_names_a_host():
    text = read(HERE, "golden", "status.metrics")
    assert not re.search(r"\d+\.\d+\.\d+|pppoe-wan", text)
