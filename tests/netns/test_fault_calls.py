# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether every call of the daemon and its libraries can be made to fail by
tests/fault/, or is known to be none that fails: a new one is seen."""
import re
import subprocess

from daemon import PORTICOD
from fault import SHIM, unusable
from fault_ways import WAYS
from lab import Skip

# What the daemon has nothing of.
LIBRARIES = re.compile(r"linux-vdso|ld-linux|/libc\.so|libgcov")
NOT_WRAPPED = {
    "works on memory it is given, or on nothing": """
        __ctype_b_loc __ctype_tolower_loc __errno_location __tls_get_addr
        free inet_ntop inet_pton localtime_r memchr memcmp memcpy memmem
        memmove mempcpy memset qsort sigaddset sigemptyset snprintf sprintf
        sscanf strcasecmp strcat strchr strcmp strcpy strcspn strerror strlen
        strncasecmp strncat strncmp strncpy strnlen strpbrk strrchr strsep
        strspn strstr strtod strtol strtoll strtoul strtoull vsnprintf""",
    "the kernel has no failure of it for what is asked": """
        _exit alarm getegid geteuid getpid getppid getpriority getsid getuid
        isatty signal sysconf time umask""",
    "the environment is there, and not made larger": "getenv unsetenv",
    "has no result, or none that anybody could do better for": """
        closelog freelocale openlog perror printf putchar puts syslog
        uselocale vsyslog __fsetlocking""",
    "ends the process": "__assert_fail __stack_chk_fail abort",
    "allocates: that fails, as malloc()": "asprintf vasprintf",
    "looks at a mark": "ferror feof fileno",
    "of the start, before main()": """
        _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable __cxa_finalize
        __gmon_start__ __libc_start_main __register_atfork""",
    "getopt's, of the command line": "getopt_long optarg optind opterr",
    "counts of what is reached (make coverage)": "atexit fseek setbuf",
    "the stream itself": "stderr stdout stdin",
    # libcap-ng: capabilities of files, change of user; libseccomp: lists for
    # others; libnfnetlink: all of it.
    "of a part of a library that we do not use": """
        dup fgetxattr fremovexattr fsetxattr fstatfs getpwuid initgroups
        readlink recvfrom""",
}


def symbols(path, *flags):
    done = subprocess.run(["nm", "-D", *flags, path], capture_output=True,
                          text=True, check=True)
    return {line.split()[-1].split("@")[0]
            for line in done.stdout.splitlines() if line.strip()}


def plain(name):
    """Without what compiler and headers made of a name."""
    name = re.sub(r"^__isoc\d+_", "", name)
    return re.sub(r"^__(\w+)_chk$", r"\1", name)


def libraries():
    done = subprocess.run(["ldd", PORTICOD], capture_output=True, text=True,
                          check=True)
    found = [line.split("=>")[1].split()[0]
             for line in done.stdout.splitlines() if "=> /" in line]
    return [path for path in found if not LIBRARIES.search(path)]


def test_every_call_is_made_to_fail_or_cannot(lab):
    reason = unusable()
    if reason:
        raise Skip(reason)
    with open(PORTICOD, "rb") as file:
        if b".gcda" in file.read():
            raise Skip("a build that counts what is reached calls others")
    files = [PORTICOD] + libraries()
    defined = symbols(SHIM, "--defined-only")
    own = set().union(*(symbols(path, "--defined-only")
                        for path in files[1:]))
    called = set().union(*(symbols(path, "--undefined-only")
                           for path in files)) - own
    harmless = {name for names in NOT_WRAPPED.values()
                for name in names.split()}
    seen = {name for name in called if name not in defined
            and plain(name) not in harmless}
    assert not seen, f"neither wrapped nor known: {sorted(seen)}"
    wrapped = called & defined
    assert len(wrapped) > 90, len(wrapped)
    # What can be made to fail is also asked to, in a way of its own.
    ways = {re.sub("64$", "", plain(name)) for name in wrapped} - WAYS.keys()
    ways -= {"fputc", "fputs", "fprintf", "vfprintf", "__getdelim"}
    assert not ways, f"no way to fail: {sorted(ways)}"
    return f"{len(wrapped)} calls can be made to fail, of {len(called)}"
