# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes on when the daemon dies, stops, or finds a table it cannot use."""
import os
import random
import subprocess
import time

from lab import E, L1, L2, R1
from restart import kill_and_start, kill_often, state_line
from tools import Who, ask, ask_tcp, curl, httpd, limit, quiet


@limit(90)
def test_connections_and_mappings_go_on_over_kills(lab):
    lab.need_portico()
    return kill_often(lab, 7301, 5, 50, 250)


@limit(60)
def test_a_transfer_goes_on_over_kills(lab):
    lab.need_portico()
    lab.start(fresh=True)
    count = 60_000_000
    path = os.path.join(lab.directory, "over-kills")
    with httpd(lab.wan, R1, 7302):
        url = f"http://{R1}:7302"
        wanted = curl(lab.lan1, f"{url}/sha256/{count}").stdout.strip()
        with lab.lan1.running("curl", "-sS", "--limit-rate", "5M", "-o",
                              path, f"{url}/{count}") as client:
            for _ in range(3):
                time.sleep(0.5)
                assert client.alive(), "the transfer was over too early"
                kill_and_start(lab)
            assert client.wait(40) == 0, client.output()
    got = subprocess.run(["sha256sum", path], text=True, check=True,
                         capture_output=True).stdout.split()[0]
    os.unlink(path)
    assert got == wanted, "the bytes have changed"


def test_an_orderly_stop_loses_nothing(lab):
    lab.need_portico()
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7303)], tcp=[(R1, 7303)]):
        udp = lab.lan1.udp(L1, 5303)
        taken = lab.lan2.udp(L2, 5303)
        tcp = lab.lan1.tcp((R1, 7303))
        seen = [ask(udp, (R1, 7303)), ask(taken, (R1, 7303)), ask_tcp(tcp)]
        assert seen[0] == f"{E}:5303" and seen[1] != seen[0]
        for _ in range(2):
            assert lab.daemon.stop() == 0
            assert os.path.exists(lab.daemon.state)
            udp.sendto(b"lost", (R1, 7303))
            quiet(udp)
            lab.daemon.start()
            assert "after an orderly stop: 3 mappings" in state_line(
                lab.daemon), state_line(lab.daemon)
            # The other one first: it does not get the port.
            assert [ask(taken, (R1, 7303)), ask(udp, (R1, 7303)),
                    ask_tcp(tcp)] == [seen[1], seen[0], seen[2]]
        restored = lab.portico("status")["restored"]
        assert restored["mappings"] == 3 and restored["dropped"] == 0
        for sock in (udp, taken, tcp):
            sock.close()


def test_the_table_follows_configuration_and_uplink(lab):
    lab.need_portico()
    lab.start(fresh=True, forwards=[
        {"name": "a", "proto": "udp", "outside": 8301, "to": f"{L1}:9"}])
    with Who(lab.wan, udp=[(R1, 7304)]):
        sock = lab.lan1.udp(L1, 5304)
        ask(sock, (R1, 7304))
        lab.daemon.kill()
        lab.daemon.configure({"forwards": [
            {"name": "b", "proto": "udp", "outside": 8302,
             "to": f"{L1}:9"}]})
        lab.daemon.start()
        names = {m["outside"]: m["name"]
                 for m in lab.portico("mappings")["mappings"]}
        assert names == {f"{E}:5304": None, f"{E}:8302": "b"}, names
        lab.daemon.kill()
        other = E.replace(".7", ".8")
        lab.gw.ip(f"addr del {E}/24 dev wan0")
        try:
            lab.give_address(other)
            lab.daemon.start()
            assert ask(sock, (R1, 7304)).startswith(other)
        finally:
            lab.stop()
            lab.gw.ip(f"addr del {other}/24 dev wan0", check=False)
            lab.give_address()
        sock.close()


def rests(lab, port, make):
    """A mapping of L1 is lost by what make() does while the daemon is
    stopped; its port is given to nobody at once."""
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7305)]):
        first, second = lab.lan1.udp(L1, port), lab.lan2.udp(L2, port)
        assert ask(first, (R1, 7305)) == f"{E}:{port}"
        lab.daemon.kill()
        make(lab.daemon)
        lab.daemon.start()
        line = state_line(lab.daemon)
        seen = [ask(second, (R1, 7305)), ask(first, (R1, 7305))]
        assert f"{E}:{port}" not in seen, (seen, line)
        assert lab.portico("status")["ports"]["udp"]["held"] == 1, line
        first.close()
        second.close()
    return line


def test_after_a_reboot_ports_rest(lab):
    lab.need_portico()

    def reboot(daemon):
        boot = os.path.join(lab.directory, "boot_id")
        with open(boot, "w") as file:
            file.write("01234567-89ab-cdef-0123-456789abcdef\n")
        daemon.wrap = ["unshare", "-m", "sh", "-c", "mount --bind "
                       f"{boot} /proc/sys/kernel/random/boot_id && "
                       "exec \"$@\"", "sh"]

    line = rests(lab, 5305, reboot)
    assert "from before a reboot; 1 ports rest" in line, line
    lab.stop()


def test_with_other_limits_ports_rest(lab):
    lab.need_portico()
    line = rests(lab, 5306, lambda daemon: daemon.configure(
        {"limits": {"sessions": 5000}}))
    assert "other limits; 1 ports rest" in line, line


def damage_a_bit(dice):
    def damage(path):
        with open(path, "r+b") as file:
            at = dice.randrange(os.path.getsize(path))
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << dice.randrange(8)]))
    return damage


def write_random(path):
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.write(os.urandom(size))


def make_newer(path):
    with open(path, "r+b") as file:
        file.seek(8)
        layout = file.read(1)[0]
        file.seek(8)
        file.write(bytes([layout + 1]))


@limit(90)
def test_damaged_files_do_no_harm(lab):
    lab.need_portico()
    dice = random.Random(3)
    damages = [(lambda path: os.truncate(path, 0), "no earlier table"),
               (lambda path: os.truncate(path, 4000), "damaged"),
               (lambda path: os.truncate(path, os.path.getsize(path) + 9),
                "other limits"),
               (write_random, "damaged"), (make_newer, "another version's")]
    damages += [(damage_a_bit(dice), "")] * 5
    with Who(lab.wan, udp=[(R1, 7307)]):
        socks = [lab.lan1.udp(L1, 5307), lab.lan2.udp(L2, 5307)]
        for damage, word in damages:
            lab.start(fresh=True)
            before = [ask(sock, (R1, 7307)) for sock in socks]
            lab.daemon.kill()
            damage(lab.daemon.state)
            lab.daemon.start()
            assert word in state_line(lab.daemon), state_line(lab.daemon)
            after = [ask(sock, (R1, 7307)) for sock in reversed(socks)][::-1]
            assert after[0] != after[1]
            if not word:
                assert after[0] != before[1] and after[1] != before[0]
        for sock in socks:
            sock.close()


def test_a_link_is_not_followed(lab):
    lab.need_portico()
    lab.start(fresh=True)
    lab.daemon.stop()
    target = os.path.join(lab.directory, "target")
    with open(target, "w") as file:
        file.write("precious")
    os.unlink(lab.daemon.state)
    os.symlink(target, lab.daemon.state)
    lab.daemon.start()
    found = [w for w in lab.portico("status")["warnings"]
             if w.startswith("state: ")]
    assert len(found) == 1 and "symbolic link" in found[0], found
    with Who(lab.wan, udp=[(R1, 7308)]):
        sock = lab.lan1.udp()
        assert ask(sock, (R1, 7308))
        sock.close()
    lab.stop()
    with open(target) as file:
        assert file.read() == "precious"


def test_a_full_file_system_is_told(lab):
    lab.need_portico()
    small = os.path.join(lab.directory, "small")
    os.makedirs(small, exist_ok=True)
    lab.start(fresh=True, state=f"{small}/state", wrap=[
        "unshare", "-m", "sh", "-c",
        f"mount -t tmpfs -o size=64k none {small} && exec \"$@\"", "sh"])
    found = [w for w in lab.portico("status")["warnings"]
             if w.startswith("state: ")]
    assert len(found) == 1 and "has no room" in found[0], found
    with Who(lab.wan, udp=[(R1, 7309)], tcp=[(R1, 7309)]):
        sock, tcp = lab.lan1.udp(), lab.lan1.tcp((R1, 7309))
        assert ask(sock, (R1, 7309)) and ask_tcp(tcp)
        sock.close()
        tcp.close()
    lab.stop()
