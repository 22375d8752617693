# SPDX-License-Identifier: GPL-2.0-or-later
"""Forwards that are added and removed by command, while traffic flows."""
import json

from lab import E, L1, L2, R1, R2
from test_forward import refused, service, uses
from tools import Who, all_rules, ask, ask_tcp, quiet, refuses_tcp

WEB = {"name": "web", "proto": "tcp", "outside": 8080, "to": f"{L1}:80"}


def start(lab, **config):
    lab.need_portico()
    return lab.start(fresh=True, forwards=[WEB], **config)


def add(daemon, *words):
    return daemon.run("forward", "add", *words)


def refuses(daemon, code, sentence, *words):
    """It ends so, says that, and changes nothing."""
    before = rows(daemon)
    done = daemon.run("forward", *words, check=False)
    assert done.returncode == code and not done.stdout, done
    assert sentence in done.stderr, done.stderr
    assert rows(daemon) == before


def rows(daemon):
    return daemon.json("forward", "list")["forwards"]


def names(daemon):
    return [f"{row['name']}/{row['proto']}" for row in rows(daemon)]


def test_an_added_forward_is_in_force_at_once(lab):
    daemon = start(lab)
    with service(lab):
        refuses_tcp(lab.wan, (E, 8081))
        done = add(daemon, "own", "tcp,udp", "8081", f"{L1}:80")
        seen = uses(lab.wan, 8081, R1)
        assert all(s.startswith(R1 + ":") for s in seen), seen
        assert done.stdout.startswith("own: in force"), done
        # By hairpin and outside the pool, too.
        uses(lab.lan2, 8081)
        add(daemon, "low", "tcp,udp", "80", f"{L1}:83")
        uses(lab.wan, 80)
        uses(lab.wan, 80, R2)
    assert [m["name"] for m in lab.portico("mappings", "--port", "80")[
        "mappings"] if m["outside"] == f"{E}:80"] == ["low", "low"]
    assert "own added by command" in daemon.log()


def test_the_list_says_where_a_forward_comes_from(lab):
    daemon = start(lab)
    add(daemon, "game", "udp,tcp", "8100-8109", f"{L2}:9000", f"{R1}/32", R2,
        "10.0.0.0/8")
    other = {"name": "game", "outside": "8100-8109", "to": f"{L2}:9000",
             "from": [f"{R1}/32", f"{R2}/32", "10.0.0.0/8"],
             "origin": "command"}
    listed = rows(daemon)
    assert listed == [
        {"name": "web", "proto": "tcp", "outside": 8080, "to": f"{L1}:80",
         "from": [], "origin": "configuration"},
        {**other, "proto": "tcp"}, {**other, "proto": "udp"}], listed
    assert list(listed[0]) == ["name", "proto", "outside", "to", "from",
                               "origin"]
    text = daemon.run("forward", "list").stdout.split("\n")
    assert text[0].split() == ["NAME", "PROTO", "OUTSIDE", "TO", "FROM",
                               "ORIGIN"], text
    assert [line.split()[0::5] for line in text[1:4]] == [
        ["game", "command"], ["game", "command"],
        ["web", "configuration"]], text


def test_an_added_forward_obeys_its_peers(lab):
    daemon = start(lab)
    add(daemon, "own", "tcp,udp", "8081", f"{L1}:80", f"{R1}/32")
    with service(lab):
        uses(lab.wan, 8081, R1)
        refused(lab, lab.wan, 8081, R2)


def test_a_wrong_forward_is_refused(lab):
    daemon = start(lab)
    add(daemon, "own", "tcp", "9000-9010", f"{L1}:9000")
    rules = all_rules(lab.gw)
    to = f"{L1}:80"
    for words, sentence in (
            (("web", "tcp", "1", to), "the name of another forward"),
            (("own", "tcp", "1", to), "the name of another forward"),
            (("a", "tcp", "8080", to), "overlap 8080-8080 of \"web\""),
            (("a", "tcp,udp", "9010-9011", to), "overlap 9000-9010 of \"own\""),
            (("a", "sctp", "1", to), "forward: proto[0]: found \"sctp\""),
            (("a", "tcp,tcp", "1", to), "each at most once"),
            (("a", "tcp", "70000", to), "forward: outside: found \"70000\""),
            (("a", "tcp", "1", L1), "forward: to: found"),
            (("a", "tcp", "1-10", f"{L1}:65530"), "at most 65535"),
            (("a", "tcp", "1", to, "10.0.0.1/8"), "forward: from[0]: found"),
            (("x" * 32, "tcp", "1", to), "forward: name: found")):
        refuses(daemon, 1, sentence, "add", *words)
    many = [f"10.{n // 256}.{n % 256}.0/24" for n in range(400)]
    refuses(daemon, 1, "the request is too long", "add", "a", "tcp", "1", to,
            *many)
    refuses(daemon, 1, f"stands in {daemon.path}", "remove", "web")
    refuses(daemon, 1, "the name of none", "remove", "nobody")
    for words in (("add", "a", "tcp", "1"), ("add",), ("remove",), (),
                  ("list", "a"), ("remove", "a", "b"), ("end", "a")):
        refuses(daemon, 2, "portico: ", *words)
    assert all_rules(lab.gw) == rules
    done = daemon.run("--json", "forward", "add", "web", "tcp", "1", to,
                      check=False)
    assert done.returncode == 1 and "error" in json.loads(done.stdout), done


def test_a_removed_forward_ends_as_one_that_a_reload_takes_away(lab):
    daemon = start(lab)
    add(daemon, "own", "tcp,udp", "8081", f"{L1}:80")
    with service(lab):
        tcp, udp = lab.wan.tcp((E, 8081)), lab.wan.udp()
        assert ask_tcp(tcp) and ask(udp, (E, 8081))
        said = daemon.run("--json", "forward", "remove", "own").stdout
        assert json.loads(said) == {"removed": "own"}, said
        assert names(daemon) == ["web/tcp"]
        before = lab.drops("no_mapping")
        tcp.sendall(b"hello")
        refuses_tcp(lab.wan, (E, 8081))
        udp.sendto(b"hello", (E, 8081))
        quiet(udp)
        assert lab.drops("no_mapping") >= before + 3, lab.portico("status")
        tcp.close()
        udp.close()
        # The configuration's is as it was, and the name is free.
        sock = lab.wan.tcp((E, 8080))
        assert ask_tcp(sock)
        sock.close()
        add(daemon, "own", "tcp,udp", "8081", f"{L1}:80")
        uses(lab.wan, 8081)


def test_other_forwards_and_flows_go_on_meanwhile(lab):
    daemon = start(lab)
    with service(lab), Who(lab.wan, udp=[(R1, 7110)], tcp=[(R1, 7110)]):
        udp, tcp = lab.lan2.udp(L2, 5110), lab.lan2.tcp((R1, 7110))
        web = lab.wan.tcp((E, 8080))
        seen = [ask(udp, (R1, 7110)), ask_tcp(tcp), ask_tcp(web)]
        for _ in range(3):
            add(daemon, "own", "udp", "79", f"{L1}:80")
            assert [ask(udp, (R1, 7110)), ask_tcp(tcp), ask_tcp(web)] == seen
            daemon.run("forward", "remove", "own")
            assert [ask(udp, (R1, 7110)), ask_tcp(tcp), ask_tcp(web)] == seen
        for sock in (udp, tcp, web):
            sock.close()


def test_it_takes_a_dynamic_mappings_port(lab):
    daemon = start(lab)
    with Who(lab.wan, udp=[(R1, 7111)]), service(lab):
        sock = lab.lan2.udp(L2, 8300)
        assert ask(sock, (R1, 7111)) == f"{E}:8300"
        add(daemon, "taken", "udp", "8300", f"{L1}:84")
        peer = lab.wan.udp()
        assert ask(peer, (E, 8300))
        assert ask(sock, (R1, 7111)) != f"{E}:8300"
        peer.close()
        sock.close()


def test_it_wins_over_a_local_listener_and_says_so(lab):
    lab.stop()
    with Who(lab.gw, tcp=[("0.0.0.0", 8081)], udp=[(E, 8081)]) as router:
        daemon = start(lab)
        with service(lab) as host:
            said = add(daemon, "own", "tcp,udp", "8081", f"{L1}:80").stdout
            assert "warning: forward own: the router itself listens on tcp " \
                "port 8081; the forward wins\n" in said, said
            uses(lab.wan, 8081)
            assert host.seen and not router.seen
        answer = daemon.json("forward", "add", "far", "tcp", "8082",
                             "10.99.0.1:80")
        assert answer["added"] == "far", answer
        assert "10.99.0.1 is in no inside network" in answer["warnings"][0]


def test_a_reload_keeps_it(lab):
    daemon = start(lab)
    add(daemon, "own", "tcp,udp", "8081", f"{L1}:80")
    with service(lab):
        tcp = lab.wan.tcp((E, 8081))
        seen = ask_tcp(tcp)
        # The file is read by the reload alone.
        daemon.configure({"forwards": [{**WEB, "name": "other"}]})
        add(daemon, "more", "udp", "8083", f"{L1}:83")
        assert names(daemon)[0] == "web/tcp"
        daemon.run("reload")
        assert names(daemon) == ["other/tcp", "own/tcp", "own/udp",
                                 "more/udp"]
        assert ask_tcp(tcp) == seen
        tcp.close()
        uses(lab.wan, 8081)
        # A file that is refused changes nothing here either.
        daemon.configure({"forwards": [{**WEB, "outside": 0}]})
        assert daemon.run("reload", check=False).returncode == 1
        assert len(rows(daemon)) == 4
        uses(lab.wan, 8081)


def test_the_file_wins(lab):
    daemon = start(lab)
    for name, port in (("named", "8061"), ("placed", "8082"),
                       ("stays", "8083")):
        add(daemon, name, "tcp,udp", port, f"{L1}:80")
    daemon.reload({"forwards": [
        {**WEB, "name": "named", "outside": 8090},
        {**WEB, "name": "taker", "outside": "8070-8082"}]})
    assert names(daemon) == ["named/tcp", "taker/tcp", "stays/tcp",
                             "stays/udp"]
    sentences = [
        "forward named, added by command, has ended: the configuration has "
        "one of that name",
        "forward placed, added by command, has ended: the configuration has "
        "an outside port of it in taker"]
    warnings = lab.portico("status")["warnings"]
    assert all(sentence in warnings for sentence in sentences), warnings
    assert all(sentence in daemon.log() for sentence in sentences)
    with service(lab):
        uses(lab.wan, 8083)
        refuses_tcp(lab.wan, (E, 8061))
    # What was ended stays away, also when the file gives it free.
    daemon.reload({"forwards": []})
    assert names(daemon) == ["stays/tcp", "stays/udp"]
    left = lab.portico("status")["warnings"]
    assert not [w for w in left if "by command" in w], left


def test_it_lasts_when_the_file_has_it(lab):
    daemon = start(lab)
    add(daemon, "own", "tcp,udp", "8081", f"{L1}:80", "0.0.0.0/0")
    with service(lab):
        sock = lab.wan.tcp((E, 8081))
        seen = ask_tcp(sock)
        daemon.reload({"forwards": [WEB, {
            "name": "own", "proto": ["tcp", "udp"], "outside": 8081,
            "to": f"{L1}:80", "from": ["0.0.0.0/0"]}]})
        assert {row["origin"] for row in rows(daemon)} == {"configuration"}
        assert ask_tcp(sock) == seen
        sock.close()
    warnings = lab.portico("status")["warnings"]
    assert not [w for w in warnings if "by command" in w], warnings


def test_it_ends_with_the_daemon(lab):
    daemon = start(lab)
    with service(lab):
        for end in (daemon.stop, daemon.kill):
            add(daemon, "own", "tcp,udp", "8081", f"{L1}:80")
            uses(lab.wan, 8081)
            end()
            daemon.start()
            assert names(daemon) == ["web/tcp"]
            refuses_tcp(lab.wan, (E, 8081))
            sock = lab.wan.tcp((E, 8080))
            assert ask_tcp(sock)
            sock.close()


def test_who_may_only_look_may_list(lab):
    daemon = start(lab)
    look = daemon.control_read
    text = daemon.run("forward", "list", socket=look).stdout
    assert "web" in text and "configuration" in text, text
    for words in (("add", "own", "tcp", "1", f"{L1}:80"), ("remove", "web")):
        done = daemon.run("forward", *words, socket=look, check=False)
        assert done.returncode == 1 and "read-only" in done.stderr, done
    assert names(daemon) == ["web/tcp"]
