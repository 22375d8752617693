# SPDX-License-Identifier: GPL-2.0-or-later
"""The init script under busybox ash: what procd is told and what it does then
(standin/bin/ubus holds instances as procd does)."""
import os
import re

from router import HERE, TREE, UCI, Router, need, read, shipped, write

FORWARD = """
config forward
	option name 'web'
	list proto 'tcp'
	option outside '8080'
	option to '192.168.1.10:80'
"""
DISABLED = UCI.replace("enabled '1'", "enabled '0'")
ACCEPT = "usr/share/nftables.d/chain-pre/forward/20-portico.nft"
FW4 = "fw4 -q reload"
FAST_PATH = "\nconfig fast_path 'fast_path'\n\toption enabled '{}'\n"
LIMITS = "\nconfig limits 'limits'\n\toption mappings '4096'\n"


def test_it_ships_disabled_and_installing_it_starts_nothing():
    router = Router(config=shipped("etc/config/portico"))
    assert router.service("enable") == []
    assert router.service("start") == ["remove-guard"]
    assert not os.path.exists(router.path("var/etc/portico.conf"))
    assert not os.path.exists(router.path(ACCEPT))


def test_disabled_it_still_follows_its_configuration_and_nothing_else():
    """As it is shipped: no lease that is renewed shall wake it."""
    router = Router(config=DISABLED)
    router.service("start")
    assert router.rest()["trigger"] == [["config.change", "portico"]]
    router.configure(UCI)
    assert router.service("reload") == [FW4, "start"]
    assert ["config.change", "network", "firewall"] in \
        router.rest()["trigger"]


def test_start_runs_one_daemon_with_a_constant_command_line():
    router = Router()
    assert router.service("start") == [FW4, "start"]
    conf = router.path("var/etc/portico.conf")
    told = router.instance()
    assert told["command"] == ["/usr/sbin/porticod", "--foreground",
                               "--config", conf]
    assert told["file"] == [conf]
    assert told["stderr"] == ["1"]


def test_it_is_started_again_for_ever():
    router = Router()
    router.service("start")
    threshold, timeout, retry = router.instance()["respawn"]
    assert retry == "0" and int(timeout) <= 2, router.instance()


def test_enable_and_disable():
    router = Router()
    router.service("enable")
    router.service("enabled")
    assert sorted(os.listdir(router.path("etc/rc.d"))) == \
        ["K86portico", "S25portico"]
    router.service("disable")
    assert os.listdir(router.path("etc/rc.d")) == []
    router.service("enabled", code=1)


def test_it_can_be_enabled_while_an_image_is_built():
    for shell in ("bash", "dash"):
        need(shell)
        router = Router()
        done = router.run(shell, router.path("lib/rc.common"),
                          router.path("etc/init.d/portico"), "enable")
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert os.path.islink(router.path("etc/rc.d/S25portico"))


def test_the_daemon_locks_itself_in_and_is_in_no_jail():
    """In one of ujail's it cannot keep capabilities as another user
    (tests/netns/test_sandbox.py), which it becomes by itself."""
    router = Router()
    write("", router.root, "sbin/ujail")
    os.chmod(router.path("sbin/ujail"), 0o755)
    router.service("start")
    assert not {"jail", "capabilities", "user"} & set(router.instance())


def test_nothing_happens_on_reload_when_nothing_changed():
    router = Router()
    router.service("start")
    assert router.service("reload") == []


def test_a_change_is_applied_by_signal():
    router = Router()
    router.service("start")
    router.configure(UCI + FORWARD)
    assert router.service("reload") == ["signal HUP"]
    assert router.json()["forwards"][0]["outside"] == "8080"


def test_a_trigger_runs_it_without_input_output_and_errors():
    """procd closes all three."""
    router, closed = Router(), "0<&- 1>&- 2>&-"
    assert router.service("start", closed=closed) == [FW4, "start"]
    router.configure(UCI + FORWARD)
    assert router.service("reload", closed=closed) == ["signal HUP"]
    for bad, said in ((FORWARD.replace("tcp", "icmp"), "option proto"),
                      (FORWARD.replace("10:80'", "10'"), "forwards[0].to")):
        router.configure(UCI + bad)
        assert router.service("reload", closed=closed) == []
        assert said in router.log(), router.log()
    router.configure(UCI + LIMITS)
    assert router.service("reload", closed=closed) == ["signal USR1", "start"]
    router.configure(DISABLED)
    write("2", router.root, "alive")
    assert router.service("reload", closed=closed) == ["stop", FW4,
                                                       "remove-guard"]


def test_what_a_running_daemon_cannot_take_is_handed_over():
    router = Router()
    router.service("start")
    router.configure(UCI + LIMITS)
    assert router.service("reload") == ["signal USR1", "start"]
    # By a daemon that finds the table of the one before.
    assert not any("remove-guard" in event for event in router.events())


def test_another_word_for_the_same_switch_changes_nothing():
    router = Router(config=UCI + FAST_PATH.format("1"))
    router.service("start")
    for word, events in (("on", []), ("auto", ["signal USR1", "start"]),
                         ("0", ["signal USR1", "start"]), ("off", [])):
        router.configure(UCI + FAST_PATH.format(word))
        assert router.service("reload") == events, word


def test_restart_hands_over_and_loses_no_connection():
    router = Router()
    router.service("start")
    write("", router.root, "table")
    write("state", router.root, "run/portico/state")
    assert router.service("restart") == ["signal USR1", "start"]
    assert os.path.exists(router.path("table"))
    assert os.path.exists(router.path("run/portico/state"))


def test_a_bad_configuration_changes_nothing():
    router = Router()
    router.service("start")
    before = router.rendered()
    for bad, said in (
            ("\nconfig timeouts 'timeouts'\n\toption udp '0'\n", "timeouts"),
            ("\nconfig queue 'queue'\n\toption mark '0x5'\n", "queue.mark"),
            (FORWARD.replace("to '", "tto '"), "tto"),
            (FORWARD.replace("10:80'", "10'"), "forwards[0].to"),
            ("\nconfig forwards\n", "forwards"),
            (UCI, "twice"),
            ("\nconfig timeouts\n\tlist udp '300'\n\tlist udp '400'\n",
             "timeouts.udp"),
            ("\nconfig behaviour\n\tlist parity '1'\n\tlist parity '0'\n",
             "behaviour.parity"),
            (FAST_PATH.format("2"), "config fast_path"),
            (FAST_PATH.format("Auto"), "config fast_path"),
            (FAST_PATH.format("on").replace("option", "list") +
             "\tlist enabled 'off'\n", "fast_path.enabled")):
        router.configure(UCI + bad)
        assert router.service("reload") == [], bad
        assert router.rendered() == before
        assert said in router.said, (said, router.said)


def test_a_mistake_is_told_by_option_and_value():
    """Where it is looked for: of a trigger's run only the log is left. What an
    anonymous section is called `uci show` does not say."""
    proto = 'option proto: found "icmp", expected list(or("tcp","udp"))'
    for bad, said in (
            (FORWARD.replace("tcp", "icmp"), f"forward '{{}}': {proto}"),
            (FORWARD.replace("list proto 'tcp'", "option proto 'icmp'"),
             f"forward '{{}}': {proto}"),
            (FORWARD.replace("config forward", "config forward 'w'").replace(
                "tcp", "icmp"), f"forward 'w': {proto}"),
            ("\nconfig timeouts 't'\n\toption udp '1=0'\n",
             "timeouts 't': option udp: found \"1=0\", expected "
             "range(1,604800)"),
            (FORWARD.replace("10:80'", "10'"), 'forwards[0].to: found '
             '"192.168.1.10", expected an inside host\'s address and port')):
        router = Router(config=UCI + bad)
        said = "^/etc/config/portico: (config )?" + re.escape(said).replace(
            r"\{\}", r"\w+")
        router.service("start")
        assert re.search(said, router.log(), re.M), router.log()
        router.service("check", code=1)
        assert re.search(said, router.said, re.M), router.said
    router = Router()
    router.service("check")
    assert router.said == "/etc/config/portico: good\n"


def test_a_bad_item_of_a_list_changes_nothing_wherever_it_stands():
    for first, last, config, said in (
            ("tpc", "udp", FORWARD.replace("list proto 'tcp'", "{}"),
             "forwards[0].proto"),
            ("10.0.0.0/33", "10.8.0.0/16", FORWARD + "\t{}\n",
             "forwards[0].from"),
            ("*", "lan", UCI.replace("list interface 'lan'", "{}"), "inside"),
            ("wan", "wan2", UCI.replace("option interface 'wan'", "{}"),
             "uplink")):
        name = {"tpc": "proto", "10.0.0.0/33": "from"}.get(first, "interface")
        items = f"list {name} '{first}'\n\tlist {name} '{last}'"
        router = Router()
        router.service("start")
        before = router.rendered()
        router.configure(("" if config.startswith(UCI[:20]) else UCI) +
                         config.format(items))
        assert router.service("reload") == [], items
        assert router.rendered() == before
        assert said in router.log(), (items, router.log())


def test_a_bad_configuration_does_not_start():
    router = Router(config=UCI + FORWARD.replace("tcp", "icmp"))
    assert router.service("start") == []
    assert "/etc/config/portico" in router.log(), router.log()


def test_a_mistake_is_not_taken_for_switched_off():
    for bad, said in (
            (UCI.replace("'main'", "'mian'"), "mian"),
            (UCI.replace("enabled '1'", "enabled 'ture'"), "enabled"),
            (UCI.replace("enabled '1'", "enable '0'"), "enable"),
            (UCI.replace("config portico 'main'", "config uplink 'main'"),
             "enabled"),
            (UCI.replace("\toption enabled '1'\n", ""), "enabled"),
            (UCI.replace("'wan'", "'wan"), "Parse error"),
            (UCI.replace("enabled '1'", "enabled '0"), "Parse error"),
            (DISABLED + "\nconfig forwards\n", "forwards"),
            ("", "enabled"), (None, "not found")):
        router = Router()
        router.service("start")
        write("", router.root, "table")
        write("state", router.root, "run/portico/state")
        before = router.rendered()
        if bad is None:
            os.unlink(router.path("etc/config/portico"))
        else:
            router.configure(bad)
        for action, events in (("reload", []),
                               ("restart", ["signal USR1", "start"])):
            assert router.service(action) == events, bad
            assert router.rendered() == before
            assert said in router.log(), (said, router.log())
        for name in ("table", "run/portico/state", ACCEPT):
            assert os.path.exists(router.path(name)), (name, bad)


def test_every_word_for_no_switches_it_off():
    for word in ("0", "off", "false", "no", "disabled", "False", "OFF"):
        router = Router()
        router.service("start")
        router.configure(UCI.replace("'1'", f"'{word}'"))
        assert router.service("reload")[0] == "stop", word
        router.service("check")
    for word in ("1", "on", "true", "yes", "enabled", "True", "ON"):
        router = Router(config=UCI.replace("'1'", f"'{word}'"))
        assert router.service("start")[-1] == "start", word


def test_an_option_after_one_that_needs_a_new_daemon_is_applied_by_signal():
    for least, more in (
            (UCI, UCI.replace("'wan'", "'wan'\n\toption ports '2000-2999'")),
            (UCI + LIMITS, UCI + LIMITS + "\toption host_mappings '100'\n")):
        router = Router(config=least)
        router.service("start")
        for config in (more, least):
            router.configure(config)
            assert router.service("reload") == ["signal HUP"], config


def test_check_says_what_is_wrong_and_changes_nothing():
    router = Router()
    assert router.service("check") == []
    router.configure(UCI + FORWARD.replace("to '", "too '"))
    router.service("check", code=1)
    assert "too" in router.said
    router.configure(UCI + FORWARD.replace("8080", "0"))
    router.service("check", code=1)
    assert "forwards[0].outside" in router.said, router.said
    assert not os.path.exists(router.path("var/etc/portico.conf"))


def stopped(router, action):
    """Rules are there, and the daemon takes most of a minute to end."""
    write("", router.root, "table")
    write("55", router.root, "alive")
    write("state", router.root, "run/portico/state")
    return router.service(action)


def nothing_is_left(router):
    for name in ("table", "var/etc/portico.conf", "run/portico/state",
                 ACCEPT):
        assert not os.path.exists(router.path(name)), name


def test_stop_leaves_nothing_behind():
    for _ in range(3):
        router = Router()
        router.service("start")
        assert stopped(router, "stop") == ["stop", FW4, "remove-guard"]
        nothing_is_left(router)
    assert router.service("stop") == ["remove-guard"]  # fw4 left alone


def test_rules_of_iptables_are_removed_as_well():
    """Which nft does not show."""
    for action in ("stop", "reload"):
        router = Router(config=UCI.replace("'1'", "'1'\n\toption rules "
                                           "'iptables'\n\toption fallback "
                                           "'closed'"))
        router.service("start")
        router.configure(DISABLED)
        write("2", router.root, "alive")
        assert router.service(action) == ["stop", FW4, "remove-guard"]


def test_procd_kills_no_daemon_that_the_script_would_still_wait_for():
    router = Router()
    router.service("start")
    assert int(router.instance()["term_timeout"][0]) >= 60


def test_switching_it_off_leaves_nothing_behind():
    router = Router()
    router.service("start")
    router.configure(DISABLED)
    assert stopped(router, "reload") == ["stop", FW4, "remove-guard"]
    nothing_is_left(router)
    assert "portico" not in read(router.root, "fw4")


def test_a_router_that_shuts_down_keeps_its_rules_to_the_end():
    """The network is still up; and flash memory is not written twice for each
    time that it begins again."""
    router = Router()
    router.service("start")
    write("", router.root, "table")
    assert router.service("shutdown") == ["stop"]
    assert os.path.exists(router.path("table"))
    assert os.path.exists(router.path(ACCEPT))
    os.unlink(router.path("var/etc/portico.conf"))  # all of /var is gone
    os.unlink(router.path("procd.json"))
    assert router.service("boot") == ["start"]
    router.configure(DISABLED)
    router.service("shutdown")
    os.unlink(router.path("procd.json"))
    assert router.service("boot") == [FW4, "remove-guard"]
    assert not os.path.exists(router.path(ACCEPT))


def test_an_upgrade_of_the_package_keeps_the_table():
    router = Router()
    router.service("start")
    write("state", router.root, "run/portico/state")
    router.service("stop", PKG_UPGRADE="1")
    assert os.path.exists(router.path("run/portico/state"))


def test_after_an_upgrade_that_did_not_stop_it_the_new_one_takes_over():
    """apk only starts it."""
    router = Router()
    router.service("start")
    assert router.service("start", PKG_UPGRADE="1") == ["signal USR1", "start"]
    router.configure(DISABLED)
    router.service("reload")
    assert "start" not in router.service("start", PKG_UPGRADE="1")


def test_rules_that_cannot_be_removed_are_told_and_not_waited_for():
    router = Router()
    router.service("start")
    write("", router.root, "table")
    write("1000", router.root, "alive")
    router.service("stop")
    assert "could not be removed" in router.log()


def test_only_a_daemon_that_lives_is_waited_for():
    """Not for a packet filter, where the package is installed without one."""
    router = Router(config=shipped("etc/config/portico"))
    write("", router.root, "no-nft")
    assert len(router.service("start")) <= 3
    assert "Operation not permitted" in router.log()
    # By the words of the daemon.
    said = re.search(r'until said=.*?\*"(.*?)"\*\)', shipped(
        "etc/init.d/portico"), re.S)[1]
    assert said in read(TREE, "platform", "lock.c")


def test_a_reload_of_the_firewall_disturbs_nothing():
    router = Router()
    router.service("start")
    assert router.service("reload") == []


def test_the_accept_rule_follows_the_mark():
    accept, usual = ACCEPT, read(HERE, "golden", "20-portico.nft")
    router = Router()
    assert router.service("start") == [FW4, "start"]
    assert read(router.root, accept) == usual
    router.configure(UCI + "\nconfig queue\n\toption mark '0X30000000'\n")
    assert router.service("reload") == ["signal USR1", "fw4 -q reload",
                                        "start"]
    assert "meta mark & 0x10000000 != 0 accept" in read(router.root, accept)
    router.configure(UCI)
    router.service("reload")
    assert read(router.root, accept) == usual


def test_fw4_takes_in_an_accept_rule_that_it_has_not_read():
    router = Router()
    router.service("start")
    write("chain forward {\n}\n", router.root, "fw4")
    assert router.service("reload") == [FW4]
    assert router.service("reload") == []


def test_without_fw4_there_is_nothing_to_take_in():
    router = Router()
    os.unlink(router.path("fw4"))
    assert router.service("start") == ["start"]


def test_fw4_that_leaves_the_accept_rule_out_is_told_of():
    for word in ("0", "no", "off", "false"):
        router = Router()
        write(word + "\n", router.root,
              "uci/firewall.@defaults[0].auto_includes")
        assert router.service("start") == ["start"]
        assert "auto_includes" in router.log(), word
        assert router.service("reload") == []


def test_miniupnpd_is_warned_of():
    router = Router()
    router.service("start")
    assert "miniupnpd" not in router.log()
    write("#!/bin/sh\n[ $1 = enabled ]\n", router.root,
          "etc/init.d/miniupnpd")
    os.chmod(router.path("etc/init.d/miniupnpd"), 0o755)
    # As it is installed: begun at boot, but off by its own configuration.
    write("0\n", router.root, "uci/upnpd.config.enabled")
    router.service("reload")
    assert "miniupnpd" not in router.log()
    write("1\n", router.root, "uci/upnpd.config.enabled")
    router.service("reload")
    assert "miniupnpd" in router.log()


def test_redirects_of_the_firewall_are_warned_of():
    """As LuCI's port forwards are, and what catches DNS queries."""
    router = Router()
    write("firewall.@defaults[0]=defaults\n"
          "firewall.@redirect[0]=redirect\nfirewall.@redirect[0].name='web'\n"
          "firewall.dns_int=redirect\nfirewall.six=redirect\n", router.root,
          "uci/firewall")
    write("ipv6\n", router.root, "uci/firewall.six.family")
    write("0\n", router.root, "uci/firewall.@redirect[0].enabled")
    router.service("start")
    told = "firewall.dns_int redirects no"
    assert router.log().count("redirect") == router.log().count(told) == 1
    write("0\n", router.root, "uci/firewall.dns_int.enabled")
    router.service("reload")
    assert router.log().count("redirect") == 1, router.log()


def test_procd_gets_every_option_for_validation():
    router = Router()
    router.service("start", DESCRIBE="1")
    assert len(router.rest()["validation"]) == 11
    assert "syntax error" not in router.said, router.said
