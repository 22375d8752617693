# SPDX-License-Identifier: GPL-2.0-or-later
"""How calls fail, and what is known of single ones: data of fault_bench.py.

What a rule is about: a call (None: any), the way it fails (None: any), a
function of the daemon among those that led to it, and the reason.
"""
from fault import END, SHORT, functions

# The first way is the usual one.
MEMORY = ["ENOMEM"]
WAYS = {
    "accept4": ["EMFILE", "ECONNABORTED", "EINTR"],
    "access": ["EACCES"],
    "aligned_alloc": MEMORY,
    "bind": ["EADDRINUSE", "EPERM"],
    "calloc": MEMORY, "malloc": MEMORY, "realloc": MEMORY, "strdup": MEMORY,
    "capget": ["EPERM"], "capset": ["EPERM"],
    "chdir": ["EACCES"],
    "chmod": ["EPERM"], "chroot": ["EPERM"],
    "clock_gettime": ["EINVAL"],
    "close": ["EIO", "EINTR"],
    "connect": ["ECONNREFUSED", "EINTR"],
    "dup2": ["EMFILE"], "dup3": ["EMFILE"],
    "epoll_create1": ["EMFILE"],
    "epoll_ctl": ["ENOMEM", "ENOSPC"],
    "epoll_wait": ["EINTR"],
    "execve": ["ENOENT", "ENOMEM"],
    "fclose": ["ENOSPC"], "fflush": ["EIO"],
    "fchmod": ["EPERM"],
    "fcntl": ["EMFILE"],
    "fdopen": ["ENOMEM"], "fgets": ["EIO"],
    "flock": ["EWOULDBLOCK", "ENOLCK"],
    "fopen": ["EMFILE", "ENOENT"],
    "duplocale": MEMORY, "newlocale": MEMORY,
    "fork": ["EAGAIN"],
    "fread": ["EIO"],
    "fstat": ["EIO"], "lstat": ["EACCES"], "stat": ["EACCES"],
    # Nearly all write into a text in memory, or a file's buffer.
    "fwrite": MEMORY,
    "getdelim": ["ENOMEM", "EIO"],
    "getrandom": ["EINTR", "ENOSYS"],
    "getgrnam": ["EIO"], "getpwnam": ["EIO"],
    "getsockname": ["ENOBUFS"], "getsockopt": ["ENOBUFS"],
    "getrlimit": ["EPERM"], "setrlimit": ["EPERM"],
    "setpriority": ["EACCES"],
    "if_nametoindex": ["ENODEV"],
    "ioctl": ["EPERM"],
    "kill": ["ESRCH", "EPERM"],
    "lchown": ["EPERM"],
    "listen": ["EADDRINUSE"],
    "lseek": ["EIO"],
    "madvise": ["EINVAL"],
    "memfd_create": ["EMFILE"],
    "mkdir": ["EACCES"], "mkdtemp": ["ENOSPC"],
    "mmap": ["ENOMEM"], "munmap": ["EINVAL"],
    "open": ["EMFILE", "EACCES"],
    "open_memstream": ["ENOMEM"],
    "pipe2": ["EMFILE"],
    "poll": ["EINTR", "ENOMEM"],
    "posix_fallocate": ["ENOSPC", "EINTR"],
    "prctl": ["EPERM"],
    "pread": ["EIO", "EINTR", SHORT, END],
    "read": ["EIO", "EINTR", SHORT, END],
    "recv": ["ENOBUFS", "EINTR", "ECONNRESET", SHORT, END],
    "recvmmsg": ["ENOBUFS", "EINTR", "ENOMEM"],
    "recvmsg": ["ENOBUFS", "EINTR"],
    "realpath": ["ENOENT"],
    "rename": ["EACCES"],
    "rmdir": ["EBUSY"],
    "send": ["EPIPE", "EINTR", "EAGAIN", SHORT],
    "sendmsg": ["ENOBUFS", "EINTR", "ENOENT", "EPERM"],
    "sendto": ["ENOBUFS", "EPERM", "EINTR"],
    "setegid": ["EPERM"],
    "setgroups": ["EPERM"], "setresgid": ["EPERM"], "setresuid": ["EPERM"],
    "setpgid": ["EPERM"], "setsid": ["EPERM"],
    "setsockopt": ["EPERM", "ENOMEM"],
    "shutdown": ["ENOTCONN"],
    "signalfd": ["EMFILE"],
    "sigprocmask": ["EINVAL"],
    "socket": ["EMFILE", "EPERM"], "socketpair": ["EMFILE"],
    "syscall": ["EPERM"],
    "timerfd_create": ["EMFILE"], "timerfd_settime": ["EINVAL"],
    "uname": ["EFAULT"],
    "unlink": ["EACCES"],
    "unshare": ["EPERM"],
    "waitpid": ["EINTR"],
    "write": ["ENOSPC", "EINTR", SHORT],
}

# What a message may say in place of the errno's own words.
WORDS = {"ENOMEM": ["memory"], "EADDRINUSE": ["another daemon"],
         "EPERM": ["not permitted"]}

# What cannot be mended here. In a library only: how it fails when we call it
# is looked at.
EXCUSED = [
    (None, None, "sandbox_filter",
     "without memory libseccomp dies, or makes a list that kills (room.h)",
     True),
    (None, None, "set_group",
     "neither the C library's name service nor its modules bear it", True),
    (None, None, "find_identity",
     "neither the C library's name service nor its modules bear it", True),
    # The daemon looks for memory before it lets json-c read (room.h).
    ("strdup", None, "parse",
     "json-c does not look at what it got for a key", True),
    ("realloc", None, "parse",
     "json-c goes on with a text that was cut", True),
    ("strdup", None, "firewall_add_nft",
     "json-c does not look at what it got for a key", True),
    ("syscall", None, "process_close_from",
     "65,536 times close() take long where each is looked at", False),
    ("write", SHORT, "sysctl_write",
     "the kernel cuts a list of ports between two of them only", False),
]

# In service: a failure after which there is nothing to go on with. The daemon
# ends with a message, and is started again by who watches over it.
ENDS = [
    ("recv", END, "take_message", "the helper's socket is at its end"),
    ("recv", "ECONNRESET", "take_message", "the helper's socket is no more"),
]


# Where a call can fail in these ways only, by one function that led to it: a
# text in memory, a pipe, a socket between two processes.
WAYS_THERE = {
    ("fclose", "draft_close"): MEMORY, ("fclose", "gateway_plan"): MEMORY,
    ("fflush", "gateway_plan"): MEMORY,
    ("write", "run_job"): ["EINTR"],
    # EPERM: another program listens on the queue, which is what is said.
    ("sendto", "config_send"): ["ENOBUFS", "EINTR"],
    ("sendmsg", "answer"): ["ENOBUFS", "EINTR"],
    ("sendmsg", "send_piece"): ["ENOBUFS", "EINTR"],
}


def ways(site):
    for (call, function), there in WAYS_THERE.items():
        if call == site.call and function in functions(site):
            return there
    return WAYS.get(site.call, ["EIO"])


def _fits(rule, site, what):
    return (rule[0] in (None, site.call) and rule[1] in (None, what)
            and rule[2] in functions(site))


def excused(site, what):
    """Why this case is none, or None."""
    in_library = bool(site.frames) and site.frames[0] >> 48 != 0
    for rule in EXCUSED:
        if _fits(rule, site, what) and (in_library or not rule[4]):
            return rule[3]
    return None


# What comes by other stacks from run to run; named, not counted.
BY_CHANCE = [
    (None, None, "streams_poll",
     "a program's output comes in other pieces each time"),
    (None, None, "set_pace", "only where packets wait just then"),
]


def by_chance(site, what):
    """Why a case may not be met, or None."""
    return next((rule[3] for rule in BY_CHANCE if _fits(rule, site, what)),
                None)


def may_end(site, what):
    return any(_fits(rule, site, what) for rule in ENDS)


def alike(sites):
    """Of the many lines that write into one text a few are enough: of each
    writer the first, a middle one and the last."""
    found, texts = [], {}
    for site in sites:
        if site.call != "fwrite":
            found.append(site)
            continue
        names = [name for name in functions(site)
                 if "printf" not in name and not name.startswith("print_")]
        texts.setdefault(tuple(names[2:]), []).append(site)
    for group in texts.values():
        found += {group[0], group[len(group) // 2], group[-1]}
    return found
