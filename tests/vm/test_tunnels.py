# SPDX-License-Identifier: GPL-2.0-or-later
"""Tunnels that the router itself ends, and real ones of two hosts: the kernel's
own GRE, which few kernels have."""
from lab import E, L1, L2, R1, Skip
from netns import wait_for


def add(space, command):
    done = space.run("ip", *command.split(), check=False)
    if done.returncode:
        raise Skip(f"ip {command}: {done.stderr.strip()}")


def test_doctor_tells_of_the_routers_own_tunnels(lab):
    lab.start()
    add(lab.gw, f"link add office type gre local {E} remote {R1}")
    try:
        add(lab.gw, f"xfrm state add src {R1} dst {E} proto esp spi 0x1001 "
            f"mode tunnel enc cbc(aes) 0x{'11' * 16} "
            f"auth hmac(sha1) 0x{'22' * 20}")
        said = lab.daemon.run("doctor", check=False).stdout
        assert "GRE tunnel office" in said, said
        assert "ends IPsec itself" in said, said
    finally:
        lab.gw.run("ip", "xfrm", "state", "flush", check=False)
        lab.gw.ip("link del office", check=False)
    assert "itself" not in lab.daemon.run("doctor", check=False).stdout


def test_gre_tunnels_of_two_hosts_to_one_peer(lab):
    """Interfaces of the kernel's, told apart by their keys; TCP in them, whose
    checksums the sender leaves to its device."""
    lab.start()
    hosts = ((lab.lan1, L1, 11), (lab.lan2, L2, 12))
    try:
        for space, address, key in hosts:
            add(space, f"link add t0 type gre local {address} remote {R1} "
                f"key {key}")
            space.ip(f"addr add 10.77.{key}.2/24 dev t0")
            space.ip("link set t0 up mtu 1300")
            lab.wan.ip(f"link add t{key} type gre local {R1} remote {E} "
                       f"key {key}")
            lab.wan.ip(f"addr add 10.77.{key}.1/24 dev t{key}")
            lab.wan.ip(f"link set t{key} up mtu 1300")
        for space, _, key in hosts:
            space.run("ping", "-n", "-c", "2", "-W", "5", f"10.77.{key}.1")
            listener = lab.wan.listener(f"10.77.{key}.1", 7777)
            client = space.tcp((f"10.77.{key}.1", 7777), timeout=20)
            server, _ = listener.accept()
            client.sendall(bytes(range(256)) * 100)
            got = b""
            server.settimeout(20)
            while len(got) < 25600:
                got += server.recv(65536)
            assert got == bytes(range(256)) * 100
            for sock in (client, server, listener):
                sock.close()
        rows = [s for s in lab.portico("sessions")["sessions"]
                if s["proto"] == "gre"]
        assert {r["inside"] for r in rows} == {f"{L1}:0", f"{L2}:0"}, rows
        wait_for("both answered", lambda: all(
            s["state"] == "ESTABLISHED" for s in lab.portico("sessions")[
                "sessions"] if s["proto"] == "gre"), 5)
    finally:
        for space, _, key in hosts:
            space.ip("link del t0", check=False)
            lab.wan.ip(f"link del t{key}", check=False)
