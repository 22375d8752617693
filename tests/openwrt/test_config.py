# SPDX-License-Identifier: GPL-2.0-or-later
"""From /etc/config/portico to the daemon's configuration, whose keys are the
same ones. What is expected lies in golden/; `WRITE_GOLDEN=1 run config` writes
it anew, to be read before it is committed."""
import json
import os
import re

from router import (BUILD, FEED, HERE, TREE, Router, read, run, shipped,
                    uncomment, write)

DEVICES = [("wan", "pppoe-wan"), ("lan", "br-lan"), ("lan_alias", "br-lan"),
           ("guest", "br-guest")]
# Named by logical interface, or a fixed place on OpenWrt.
NOT_OPTIONS = {"uplink.device", "inside.devices", "main.control",
               "main.control_read", "main.state", "main.forwards"}
NOT_KEYS = {"main.enabled", "uplink.interface", "inside.interface"}
FORWARD = """
config forward
	option name 'web'
	option proto 'tcp'
	option outside '80'
	option to '192.168.1.1:80'
"""


def options():
    """{section.option: [type, JSON, restart]} of the package's table."""
    table = re.search(r"PORTICO_OPTIONS='\n(.*?)'", shipped(
        "usr/share/portico/uci.sh"), re.S)[1]
    rows = [line.split() for line in table.splitlines()]
    found = {f"{row[0]}.{row[1]}": row[2:] for row in rows}
    assert len(found) == len(rows)
    return found


def rendered(name):
    router = Router(config=read(HERE, "golden", name + ".uci"),
                    devices=DEVICES)
    assert router.service("start")[-1] == "start", router.log()
    return router.rendered()


def is_golden(name):
    text = rendered(name)
    if os.environ.get("WRITE_GOLDEN"):
        write(text, HERE, "golden", name + ".json")
    assert text == read(HERE, "golden", name + ".json"), text
    done = run(os.path.join(BUILD, "porticod"), "--check-config", "--config",
               os.path.join(HERE, "golden", name + ".json"))
    assert done.returncode == 0, done.stderr
    return uncomment(text)


def test_the_least_that_works_is_rendered_as_expected():
    config = is_golden("least")
    assert config["fallback"] == "kernel" and config["mss"] == "off"


def test_every_option_is_rendered_as_expected():
    config = is_golden("every")
    present = set()
    for key, value in config.items():
        if isinstance(value, dict):
            present |= {f"{key}.{name}" for name in value}
        elif key == "forwards":
            present |= {f"forward.{name}" for one in value for name in one}
        else:
            present.add("main." + key)
    assert set(options()) - present == NOT_KEYS | {"forward.enabled"}
    assert len(config["forwards"]) == 2


def keys_of_the_daemon():
    """Of the example, which a unit test holds to the daemon's table."""
    example = uncomment(read(TREE, "platform", "portico.conf.example"))
    found = set()
    for key, value in example.items():
        found |= {f"{key}.{name}" for name in value} if isinstance(
            value, dict) else {"main." + key}
    return found


def test_options_are_the_keys_of_the_daemon_one_to_one():
    ours = {name for name in options() if not name.startswith("forward.")}
    assert ours - NOT_KEYS == keys_of_the_daemon() - NOT_OPTIONS


def test_what_needs_a_new_daemon_is_what_the_daemon_refuses_to_change():
    source = read(TREE, "platform", "gateway_reload.c")
    fixed = {key if "." in key else "main." + key
             for key in re.findall(r'FIXED\("([a-z_.]+)"', source)}
    fixed |= set(re.findall(r'(?:key = |return )"([a-z_]+\.[a-z_]+)"',
                            source))
    ours = {name for name, row in options().items() if row[2] == "restart"}
    assert ours == fixed - NOT_OPTIONS, ours ^ (fixed - NOT_OPTIONS)


def test_interfaces_carry_their_name_as_what_needs_a_new_daemon():
    text = read(HERE, "golden", "every.json")
    for interface, device in (("wan", '"device": "pppoe-wan"'),
                              ("lan", '"br-lan"'), ("guest", '"br-guest"')):
        assert f"/* restart, interface {interface} */ {device}" in text


def test_the_shipped_file_shows_every_option_with_its_default():
    text = shipped("etc/config/portico")
    section, shown = None, {}
    for line in text.splitlines():
        words = line.lstrip("#\t ").split(None, 2)
        if line.startswith("config") or line.startswith("#config"):
            section = words[1]
        elif len(words) == 3 and re.match(r"#?\t#?(option|list) ", line):
            name = "main" if section == "portico" else section
            shown.setdefault(f"{name}.{words[1]}", words[2].strip("'"))
    assert set(shown) == set(options()), set(shown) ^ set(options())
    example = uncomment(read(TREE, "platform", "portico.conf.example"))
    for name, value in shown.items():
        part, key = name.split(".")
        default = example.get(part, example).get(key)
        row = options()[name]
        if row[1] == "number":
            assert int(value) == default, name
        elif row[1] == "flag":
            assert value == "01"[default], name
        elif row[1] == "switch" or row[1] == "text" and \
                part not in ("main", "forward"):
            assert value == default, name


def test_the_readme_says_of_every_option_what_it_is_once():
    text = read(FEED, "README.md")
    for name in options():
        rows = re.findall(rf"^\| `{re.escape(name)}` \|", text, re.M)
        assert len(rows) == 1, (name, len(rows))


def test_numbers_and_flags_are_written_as_json_wants_them():
    router = Router(config=read(HERE, "golden", "least.uci") + """
config timeouts
	option udp '0x10'
	option icmp '010'

config behaviour
	option hairpin 'Disabled'
	option parity 'ENABLED'
	option idle_probe 'True'

config forward
	option enabled 'disabled'
	list proto 'tcp'
	option outside '80'
	option to '192.168.1.1:80'
""", devices=DEVICES)
    assert router.service("start")[-1] == "start", router.log()
    assert router.json()["timeouts"] == {"udp": 16, "icmp": 8}
    assert router.json()["behaviour"] == {
        "hairpin": False, "parity": True, "idle_probe": True}
    assert "forwards" not in router.json()


def with_fast_path(lines):
    return read(HERE, "golden", "least.uci") + \
        f"\nconfig fast_path 'fast_path'\n{lines}\n"


def test_the_fast_path_takes_a_word_and_what_it_took_as_a_flag():
    for wanted, words in (("auto", ("auto",)),
                          ("on", ("on", "1", "true", "yes", "enabled", "ON",
                                  "True")),
                          ("off", ("off", "0", "false", "no", "disabled",
                                   "Off", "False"))):
        for word in words:
            router = Router(config=with_fast_path(
                f"\toption enabled '{word}'"), devices=DEVICES)
            assert router.service("start")[-1] == "start", router.log()
            assert router.json()["fast_path"] == {"enabled": wanted}, word


def test_where_nothing_is_said_of_the_fast_path_the_daemon_decides():
    for lines in ("", "\toption after '8'"):
        router = Router(config=with_fast_path(lines), devices=DEVICES)
        assert router.service("start")[-1] == "start", router.log()
        assert "enabled" not in router.json().get("fast_path", {}), lines


def test_a_forward_that_is_off_in_capitals_is_off():
    for word in ("False", "NO", "Disabled"):
        router = Router(config=read(HERE, "golden", "least.uci") + FORWARD +
                        f"\toption enabled '{word}'\n", devices=DEVICES)
        assert router.service("start")[-1] == "start", router.log()
        assert "forwards" not in router.json(), word


def test_text_cannot_leave_its_quotes():
    for hostile in ('''x", "from": ["0/0"], "y": "''', "$(reboot) `id`",
                    "a  b*", "\\\\", "-n", "%s $HOME ${HOME}; #"):
        router = Router(config=read(HERE, "golden", "least.uci") +
                        FORWARD.replace("web", hostile), devices=DEVICES)
        assert router.service("start")[-1] == "start", router.log()
        assert router.json()["forwards"][0] == {
            "name": hostile, "proto": ["tcp"], "outside": "80",
            "to": "192.168.1.1:80"}, router.rendered()
        json.dumps(router.json())
