# SPDX-License-Identifier: GPL-2.0-or-later
"""The packet filter's side: rules as they come of a UCI file, and the one line
that is put into fw4."""
import os
import re

from router import BUILD, HERE, Skip, need, read, run, write
from test_config import is_golden

SNIPPET = read(HERE, "golden", "20-portico.nft")  # what init writes
# What stands in the rules, and the package that brings it to OpenWrt's kernel.
MODULES = {"queue": "kmod-nft-queue", "fib": "kmod-nft-fib",
           "masquerade": "kmod-nft-nat"}


def nft_accepts(text):
    """By nft and this kernel, in a network namespace of its own."""
    need("nft")
    alone = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if run(*alone, "nft", "list", "tables").returncode:
        raise Skip("nft cannot be run in a network namespace here")
    done = run(*alone, "nft", "-c", "-f", "-", input=text)
    if done.returncode and "queue" in done.stderr and \
            run(*alone, "nft", "-c", "add table t; add chain t c; "
                "add rule t c queue num 1").returncode:
        # A kernel without nft_queue: the rest is held to it all the same.
        text = re.sub(r"queue num \d+( bypass)?", "accept", text)
        done = run(*alone, "nft", "-c", "-f", "-", input=text)
    assert done.returncode == 0, done.stderr


def rules():
    done = run(os.path.join(BUILD, "portico"), "rules", "--backend",
               "nftables", "--config",
               os.path.join(HERE, "golden", "typical.json"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_rules_of_a_typical_router_are_as_expected():
    is_golden("typical")
    if os.environ.get("WRITE_GOLDEN"):
        write(rules(), HERE, "golden", "typical.nft")
    assert rules() == read(HERE, "golden", "typical.nft"), rules()


def test_nft_accepts_the_rules_of_a_typical_router():
    nft_accepts(read(HERE, "golden", "typical.nft"))


def test_the_rules_have_a_table_of_their_own():
    tables = re.findall(r"^(?:delete )?table (.*?)(?: \{)?$", rules(), re.M)
    assert tables and set(tables) == {"ip portico"}, tables


def test_packages_bring_what_the_rules_need_of_the_kernel():
    from test_package import depends
    for word, package in MODULES.items():
        assert re.search(rf"\b{word}\b", rules()), word
        assert package in depends("portico"), package


def fw4(accept):
    return read(HERE, "golden", "fw4.nft").replace("\nACCEPT\n",
                                                   f"\n{accept}\n")


def test_fw4_takes_the_accept_rule():
    assert SNIPPET.count("\n") == 1
    nft_accepts(fw4(SNIPPET))


def test_the_accept_rule_is_the_one_that_the_doctor_asks_for():
    source = read(HERE, "../unit/test_doctor.c")
    asked = re.search(r'"fw4.json".*?"(meta mark [^"]*)"', source, re.S)[1]
    assert SNIPPET.startswith(asked + " comment"), asked


def test_the_accept_rule_lets_nothing_out():
    """The outbound mark is set on whatever comes from inside, so that the
    rule would open every zone's way to the Internet."""
    outbound = re.search(r"mark set meta mark \| (0x\w+) notrack", rules())[1]
    accepted = re.search(r"meta mark & (0x\w+)", SNIPPET)[1]
    assert int(outbound, 16) & int(accepted, 16) == 0


def test_a_broken_rule_is_noticed():
    try:
        nft_accepts(fw4("meta mark and then accept"))
    except AssertionError:
        return
    raise AssertionError("nft took nonsense")
