# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside a firewall like OpenWrt's fw4: its forward chain drops what conntrack
does not know, its zone masquerades, and neither is touched."""
import re

from lab import E, L1, R1
from test_fallback import kernel_takes_over, outside_port, router_ports
from test_firewall import FORWARDS, firewall, refuses, works
from tools import Who, ask, ask_tcp, limit

FW4 = """
table inet fw4 {
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept comment "!fw4: established"
    iifname "lan0" jump forward_lan
    iifname "wan0" jump forward_wan
  }
  chain forward_lan {
    oifname "wan0" counter accept
  }
  chain forward_wan {
    ct status dnat accept
    jump reject_to_wan
  }
  chain reject_to_wan {
    counter drop
  }
  chain srcnat {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan0" meta nfproto ipv4 masquerade comment "!fw4: wan"
  }
}"""
NFT = ("nft", "-f", "-")


def accept_replies(lab):
    """The line that doctor has put into fw4's chain-pre/forward, which stands
    before all of the chain's own rules."""
    said = lab.daemon.run("doctor", check=False).stdout
    line = re.search(r'inet fw4.* put the line "(.*)" into '
                     r'\S*/chain-pre/forward/', said)
    assert line, said
    lab.gw.run("nft", "insert rule inet fw4 forward", line.group(1))


def test_the_rule_that_doctor_prints_lets_replies_in(lab):
    with firewall(lab, NFT, FW4):
        lab.start(forwards=FORWARDS, fresh=True)
        refuses(lab)
        accept_replies(lab)
        works(lab)
        doctor = lab.daemon.run("doctor", check=False)
        assert doctor.returncode == 0, doctor
        # Theirs were not translated a second time.
        with Who(lab.wan, udp=[(R1, 7350)]):
            sock = lab.lan1.udp(L1, 5350)
            seen = ask(sock, (R1, 7350))
            sock.close()
        assert seen == lab.mapping(f"{L1}:5350")["outside"], seen
        tracked = lab.gw.run("conntrack", "-L").stdout
        assert "dport=7350" not in tracked, tracked


@limit(60)
def test_the_kernel_takes_over_beside_it(lab):
    with firewall(lab, NFT, FW4):
        lab.start(forwards=FORWARDS, fresh=True, fallback="kernel")
        accept_replies(lab)
        works(lab)
        lab.daemon.kill()
        with Who(lab.wan, tcp=[(R1, 7401)], udp=[(R1, 7401)]):
            tcp = kernel_takes_over(lab)
            assert outside_port(ask_tcp(tcp)) in router_ports(lab)
            tcp.close()
            udp = lab.lan1.udp(L1, 5351)
            assert ask(udp, (R1, 7401)).startswith(E + ":")
            udp.close()
        lab.check(alive=False)
        lab.daemon.start()
        works(lab)
    lab.remove_guard()
