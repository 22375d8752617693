# SPDX-License-Identifier: GPL-2.0-or-later
"""The package Makefiles: fields, form, dependencies, versions, contents."""
import os
import re
import shutil
import stat
import subprocess
import tempfile

from router import (BUILD, FEED, PACKAGES, TREE, Skip, contents, directory,
                    feed_make, fields, read, run)

ORDER = ["PKG_NAME", "PKG_VERSION", "PKG_RELEASE", "PKG_SOURCE",
         "PKG_SOURCE_URL", "PKG_HASH", "PKG_MAINTAINER", "PKG_LICENSE",
         "PKG_LICENSE_FILES", "PKG_BUILD_DEPENDS"]
FROM_THE_TREE = {"PKG_SOURCE", "PKG_SOURCE_URL", "PKG_HASH"}
LIBRARIES = {"libnetfilter_queue.so.1": "libnetfilter-queue",
             "libmnl.so.0": "libmnl", "libjson-c.so.5": "libjson-c",
             "libcap-ng.so.0": "libcap-ng", "libseccomp.so.2": "libseccomp"}
OF_THE_SYSTEM = re.compile(r"(libc|libgcc_s|libm|ld-linux.*)\.so")
SCRIPTS = ("portico/files/portico.init", "portico/files/uci.sh",
           "portico/test.sh", "portico/test-version.sh")


def makefile(package):
    return read(FEED, package, "Makefile")


def defines(text):
    """(name, lines) of each define of a Makefile."""
    return [(name, body.splitlines()) for name, body in re.findall(
        r"^define (\S+)\n(.*?)^endef", text, re.M | re.S)]


def depends(package):
    """Without what leads: + is "select"."""
    words = fields(package)[package]["DEPENDS"].split()
    return {word.lstrip("+") for word in words}


def version():
    return re.search(r"^VERSION := (\S+)$", read(TREE, "Makefile"), re.M)[1]


# --- form -------------------------------------------------------------------

def test_every_package_has_the_fields_that_the_feed_asks_for():
    for makefile_of in PACKAGES:
        for name, values in fields(makefile_of).items():
            for field in ("SECTION", "CATEGORY", "TITLE", "PKG_NAME",
                          "PKG_VERSION", "PKG_RELEASE", "PKG_MAINTAINER",
                          "PKG_LICENSE"):
                assert values[field], (name, field)
            assert len(values["TITLE"]) <= 60, values["TITLE"]
            assert re.fullmatch(r"[^<]+ <\S+@\S+>", values["PKG_MAINTAINER"])
            assert re.fullmatch(r"\d+(\.\d+)*", values["PKG_VERSION"]), name
            assert re.fullmatch(r"[1-9]\d*", values["PKG_RELEASE"]), name
        assert f"define Package/{makefile_of}/description" in \
            makefile(makefile_of)


def test_fields_stand_in_the_order_of_the_feed():
    for package in PACKAGES:
        text = makefile(package)
        found = [name for name in re.findall(r"^(PKG_[A-Z_]+):=", text, re.M)
                 if name in ORDER]
        wanted = [name for name in ORDER if name in found]
        assert found == wanted, (package, found)
        missing = set(ORDER) - set(found) - {"PKG_BUILD_DEPENDS"}
        assert missing <= (FROM_THE_TREE if package == "portico-dev"
                           else set()), (package, missing)
        assert text.index("$(TOPDIR)/rules.mk") < text.index("PKG_NAME:=")
        assert text.rindex("PKG_LICENSE_FILES") < \
            text.index("$(INCLUDE_DIR)/package.mk") < text.index("define ")


def test_mips16_is_refused():
    """GCC 12 makes wrong programs for it (-Os -fPIE with its -fipa-ra: the
    tests of check-cross fail or end by SIGSEGV), and OpenWrt makes it where
    nobody objects."""
    for package in ("portico", "portico-dev"):
        flags = re.search("^PKG_BUILD_FLAGS:=(.*)", makefile(package), re.M)
        assert "no-mips16" in flags.group(1).split(), (package, flags)


def test_openwrt_says_whether_programs_have_a_fixed_address():
    """PKG_ASLR_PIE_REGULAR is how a package that the network reaches asks for
    the other kind; where the flash is small, OpenWrt makes none of them."""
    for package in ("portico", "portico-dev", "portico-bpf"):
        text = makefile(package)
        assert re.search(r"^PKG_ASLR_PIE_REGULAR:=1$", text, re.M), package
        flags = re.search(r"^MAKE_FLAGS \+= (.*)", text, re.M)[1].split()
        assert {"HARDENING=", "PIE=no"} <= set(flags), (package, flags)
    with tempfile.TemporaryDirectory() as build:
        said = subprocess.run(
            ["make", "-n", "V=1", f"BUILD={build}", "HARDENING=", "PIE=no",
             "BPF=no", "all"],
            cwd=TREE, capture_output=True, text=True, check=True).stdout
    assert "-o" in said and not re.search("-f?pie", said, re.I), said


def test_sources_are_pinned_by_their_hash():
    for package in PACKAGES:
        found = re.search(r"^PKG_HASH:=(.*)$", makefile(package), re.M)
        if package == "portico-dev":
            assert not found
        elif package in ("portico", "portico-bpf") and "example.org" in makefile(package):
            assert found[1] == "skip"  # nothing is published
        else:
            assert re.fullmatch(r"[0-9a-f]{64}", found[1]), package


def test_names_are_literal_and_lines_are_indented_as_the_feed_wants_it():
    for package in PACKAGES:
        text = makefile(package)
        assert not re.search(r"(define|call|eval).*\$\(PKG_NAME\)", text)
        assert "\r" not in text and not re.search(r"[ \t]+$", text, re.M)
        for name, lines in defines(text):
            kind = name.rsplit("/", 1)[-1]
            if kind == "conffiles":
                good = r"\S.*"
            elif name.startswith("Build/") or kind == "install":
                good = r"\t\S.*"
            else:
                good = r"  \S.*|\t\S.*"  # the latter continues a line
            for line in lines:
                assert re.fullmatch(good, line), (package, name, line)


def test_conffiles_are_files_of_the_package():
    for package in ("portico", "portico-dev"):
        lines = dict(defines(makefile(package)))[
            f"Package/{package}/conffiles"]
        for path in lines:
            assert path.startswith("/")
            assert os.path.isfile(contents(package) + f"/{package}" + path)


def test_the_development_package_differs_only_by_its_source():
    release, develop = (dict(defines(makefile(name).replace(
        "portico-dev", "portico"))) for name in ("portico", "portico-dev"))
    for name in ("conffiles", "install"):
        assert release[f"Package/portico/{name}"] == \
            develop[f"Package/portico/{name}"], name
    ours, theirs = fields("portico"), fields("portico-dev")["portico-dev"]
    for field in ("DEPENDS", "USERID", "PKG_BUILD_DEPENDS", "SECTION",
                  "CATEGORY", "SUBMENU", "PKG_LICENSE", "PKG_VERSION"):
        assert ours["portico"][field] == theirs[field], field
    assert theirs["PROVIDES"] == theirs["CONFLICTS"] == "portico"
    assert run("diff", "-r", contents("portico") + "/portico",
               contents("portico-dev") + "/portico-dev").returncode == 0


# --- versions and dependencies ----------------------------------------------

def test_the_version_is_the_one_that_the_programs_say():
    assert fields("portico")["portico"]["PKG_VERSION"] == version()
    root = contents("portico") + "/portico/usr"
    for program in (f"{BUILD}/porticod", f"{BUILD}/portico",
                    f"{root}/sbin/porticod", f"{root}/bin/portico"):
        said = run(program, "--version").stdout
        assert said == f"{os.path.basename(program)} {version()}\n", said


def test_daemon_and_command_are_one_file():
    root = contents("portico") + "/portico/usr"
    assert os.readlink(f"{root}/bin/portico") == "../sbin/porticod"
    assert "Usage: portico " in run(f"{root}/bin/portico", "--help").stdout


def needed(program):
    done = run("readelf", "-d", os.path.join(BUILD, program))
    assert done.returncode == 0, done.stderr
    return {name for name in re.findall(r"NEEDED.*\[(.*)\]", done.stdout)
            if not OF_THE_SYSTEM.match(name)}


def test_depends_names_the_libraries_of_the_programs_and_no_others():
    libraries = needed("porticod") | needed("portico")
    assert needed("one") == libraries
    if any("asan" in name or "ubsan" in name for name in libraries):
        raise Skip("built with sanitizers")
    assert {LIBRARIES[name] for name in libraries} == \
        {name for name in depends("portico") if name.startswith("lib")}


def test_depends_brings_nft_that_prints_json():
    # `portico doctor` reads `nft -j list ruleset`.
    assert "nftables-json" in depends("portico")


def test_the_fast_path_is_a_package_of_its_own():
    """The program that loads it, and what that needs; the daemon needs none of
    it."""
    if not os.path.exists(f"{BUILD}/portico-bpf"):
        raise Skip("built without the fast path")
    assert needed("portico-bpf") - {"libelf.so.1", "libz.so.1"} == \
        {"libbpf.so.1"}
    words = depends("portico-bpf")
    assert {"portico", "libbpf", "kmod-sched-bpf"} <= words, words
    assert fields("portico-bpf")["portico-bpf"]["PKG_SOURCE"] == \
        fields("portico")["portico"]["PKG_SOURCE"]
    assert files(contents("portico-bpf") + "/portico-bpf") == \
        {"usr/sbin/portico-bpf"}
    said = run(contents("portico-bpf") + "/portico-bpf/usr/sbin/portico-bpf",
               "--version").stdout
    assert said == f"portico-bpf {version()}\n", said


def test_collectors_are_packages_of_their_own():
    found = fields("portico")
    for kind in ("lua", "ucode"):
        name = f"prometheus-node-exporter-{kind}-portico"
        assert found[name]["PKGARCH"] == "all"
        assert {f"prometheus-node-exporter-{kind}", "portico"} <= \
            set(found[name]["DEPENDS"].split())
    # Has the program run that the collector's jail does not hold.
    assert "+rpcd-mod-file" in found[name]["DEPENDS"].split()


# --- contents ---------------------------------------------------------------

MODES = {"usr/sbin/porticod": 0o755, "usr/bin/portico": 0o755,
         "etc/config/portico": 0o600, "etc/init.d/portico": 0o755,
         "usr/share/portico/uci.sh": 0o644}


def files(root):
    return {os.path.relpath(os.path.join(where, name), root)
            for where, _, names in os.walk(root) for name in names}


def test_the_package_holds_these_files_and_no_others():
    root = contents("portico") + "/portico"
    assert files(root) == set(MODES), files(root) ^ set(MODES)
    for name, mode in MODES.items():
        found = stat.S_IMODE(os.stat(os.path.join(root, name)).st_mode)
        assert found == mode, (name, oct(found))


def test_collectors_lie_where_the_exporters_look():
    for kind, path in (("lua", "usr/lib/lua/prometheus-collectors"),
                       ("ucode", "usr/share/ucode/node-exporter/lib")):
        name = f"prometheus-node-exporter-{kind}-portico"
        found = files(contents("portico") + "/" + name)
        assert len(found) == 1 and found.pop().startswith(path)


def test_what_is_copied_of_the_tree_is_what_the_build_needs():
    out = directory()
    feed_make("portico-dev", out, "prepare")
    done = run("make", "-n", "-C", out + "/source", "all", "install",
               "BUILD=" + directory(), "PREFIX=/usr", "DESTDIR=/nowhere")
    assert done.returncode == 0, done.stderr
    assert "porticod" in done.stdout


def test_a_release_holds_what_the_package_takes_from_it():
    name = f"portico-{version()}"
    if run("git", "-C", TREE, "rev-parse", "HEAD").returncode:
        raise Skip("not a git tree: it is from a release itself")
    out = directory()
    done = run("make", "-C", TREE, "dist", "BUILD=" + out)
    assert done.returncode == 0, done.stderr
    listed = run("tar", "-tJf", f"{out}/{name}.tar.xz").stdout.split()
    assert all(path.startswith(name + "/") for path in listed)
    for path in ("Makefile", "LICENSE", "nat/nat.c", "platform/porticod.c",
                 "openwrt/portico/files/portico.init"):
        assert f"{name}/{path}" in listed, path


def dist(tree, **environment):
    """The bytes of `make dist` there, b"" when it failed."""
    out = directory()
    done = run("make", "-C", tree, "dist", "BUILD=" + out,
               env={**os.environ, **environment})
    path = f"{out}/portico-{version()}.tar.xz"
    assert (done.returncode == 0) == os.path.exists(path), done.stderr
    if done.returncode:
        return b""
    with open(path, "rb") as archive:
        return archive.read()


def test_a_release_has_the_same_bytes_by_an_xz_that_uses_threads():
    if run("git", "-C", TREE, "rev-parse", "HEAD").returncode:
        raise Skip("not a git tree")
    assert dist(TREE, XZ_DEFAULTS="-T2") == dist(TREE, XZ_DEFAULTS="-T1")


def test_no_release_is_made_where_there_is_no_git_tree():
    tree = directory()
    shutil.copy(os.path.join(TREE, "Makefile"), tree)
    assert dist(tree, GIT_CEILING_DIRECTORIES=os.path.dirname(tree)) == b""


def test_uthash_installs_headers_for_building_only():
    assert fields("uthash")["uthash"]["BUILDONLY"] == "1"
    assert fields("portico")["portico"]["PKG_BUILD_DEPENDS"] == "uthash"
    staging = dict(defines(makefile("uthash")))["Build/InstallDev"]
    assert any("usr/include" in line for line in staging)


# --- scripts ----------------------------------------------------------------

def test_scripts_are_sound():
    try:
        done = run("shellcheck", *[os.path.join(FEED, name)
                                   for name in SCRIPTS])
    except FileNotFoundError:
        raise Skip("there is no shellcheck")
    assert done.returncode == 0, done.stdout


def test_every_file_names_its_licence():
    done = subprocess.run(
        ["grep", "-rL", "SPDX-License-Identifier: GPL-2.0-or-later", FEED,
         "--include=Makefile", "--include=*.sh", "--include=*.init",
         "--include=*.lua", "--include=*.uc"], capture_output=True, text=True)
    assert done.stdout == "", done.stdout


def feed_test(script, *words, **environment):
    path = BUILD + ":" + os.environ["PATH"]
    return run("sh", os.path.join(FEED, "portico", script), *words,
               env={**os.environ, "PATH": path, **environment})


def test_the_feeds_version_test_finds_the_version():
    for package in ("portico", "portico-dev",
                    "prometheus-node-exporter-lua-portico"):
        done = feed_test("test-version.sh", PKG_NAME=package,
                         PKG_VERSION=version())
        assert done.returncode == 0, done.stdout + done.stderr
    for package, wanted in (("portico", "9.9"), ("other", version())):
        done = feed_test("test-version.sh", PKG_NAME=package,
                         PKG_VERSION=wanted)
        assert done.returncode == 1, package


def test_the_feeds_functional_test_runs_the_engines_vectors():
    done = feed_test("test.sh", "portico", version(),
                     IPKG_INSTROOT=contents("portico") + "/portico")
    assert done.returncode == 0, done.stdout + done.stderr
    assert feed_test("test.sh", "other", version()).returncode == 1
