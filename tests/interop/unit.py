#!/usr/bin/env python3
"""`systemctl` for machines where systemd does not run: does what escrow-node.service says, below $DESTDIR.

start, stop, restart, is-active, is-failed, reset-failed, daemon-reload; one unit file, no dependencies.
The command, user, credential, folders, umask, limits, system call filter, address families and, where this
machine allows it, the read-only file system are the unit's own. What only a real systemd can do is in LEFT_OUT,
and a setting that is in neither table stops the test: nobody adds one that nothing looks at.
"""
import ctypes
import os
import pwd
import re
import resource
import signal
import subprocess
import sys
import time

LEFT_OUT = {  # namespaces and kernel switches of PID 1; systemd-analyze judges them, nothing here runs under them
    "After", "AmbientCapabilities", "Description", "Documentation", "KeyringMode", "LockPersonality",
    "PrivateDevices", "PrivateMounts", "PrivateTmp", "PrivateUsers", "ProcSubset", "ProtectClock",
    "ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules",
    "ProtectKernelTunables", "ProtectProc", "RemoveIPC", "Restart", "RestartSec", "RestrictNamespaces",
    "RestrictRealtime", "RestrictSUIDSGID", "StartLimitBurst", "StartLimitIntervalSec", "SystemCallArchitectures",
    "TimeoutStopSec", "WantedBy", "Wants",
}
DONE = {
    "CapabilityBoundingSet", "ExecStart", "Group", "LimitCORE", "LimitNOFILE", "LoadCredential",
    "MemoryDenyWriteExecute", "NoNewPrivileges", "ProtectSystem", "RestrictAddressFamilies", "StateDirectory",
    "StateDirectoryMode", "SystemCallErrorNumber", "SystemCallFilter", "Type", "UMask", "User",
}
libc = ctypes.CDLL(None, use_errno=True)
root = os.environ["DESTDIR"]


def settings(path):
    out = {}
    for line in open(path):
        line = line.strip()
        if line and line[0] not in "#[":
            name, value = line.split("=", 1)
            if name not in DONE and name not in LEFT_OUT:
                sys.exit(f"unit.py: {name}= is new in the unit; say here whether it can be tried")
            out.setdefault(name, []).append(value)
    return out


def credential(unit, s, user):
    """As systemd.exec(5): root's file, mode 0440 with an access list for the user; a plain file of the user
    where the file system has no access lists."""
    folder = f"{root}/run/credentials/{unit}"
    os.makedirs(folder, mode=0o711, exist_ok=True)
    for line in s.get("LoadCredential", []):
        name, source = line.split(":", 1)
        path = f"{folder}/{name}"
        if os.path.lexists(path):
            os.unlink(path)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as to, open(root + source, "rb") as of:
            to.write(of.read())
        if user:
            entry = lambda tag, perm, who=0xFFFFFFFF: tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + who.to_bytes(4, "little")
            acl = (2).to_bytes(4, "little") + entry(1, 4) + entry(2, 4, user.pw_uid) + entry(4, 0) + entry(16, 4) + entry(32, 0)
            try:
                os.setxattr(path, "system.posix_acl_access", acl)
            except OSError:
                os.chown(path, user.pw_uid, user.pw_gid)
    return folder


def syscalls(lines):
    groups, name = {}, None
    for line in subprocess.run(["systemd-analyze", "syscall-filter"], text=True, capture_output=True, check=True).stdout.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = []
        elif line.startswith("  ") and name and not line.strip().startswith("#"):
            groups[name].append(line.strip())
        elif not line.startswith(" "):
            name = None

    def expand(word):
        return {c for w in groups[word] for c in expand(w)} if word.startswith("@") else {word}

    allowed = expand("@default")
    for line in lines:
        calls = {c for w in line.lstrip("~").split() for c in expand(w)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


class Arg(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def filters(s):
    """The three seccomp filters, as functions that load them."""
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_init.argtypes = [ctypes.c_uint32]
    lib.seccomp_load.argtypes = [ctypes.c_void_p]
    lib.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Arg)]
    allow, errno_ = 0x7FFF0000, lambda n: 0x00050000 | n
    EQ, GT, MASKED = 4, 6, 7  # scmp_compare
    EPERM, EAFNOSUPPORT = 1, 97

    def rule(context, action, name, args=()):
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number >= 0 and lib.seccomp_rule_add_array(context, action, number, len(args), (Arg * max(len(args), 1))(*args)) != 0:
            sys.exit(f"unit.py: no filter for {name}")

    made = []
    if s.get("MemoryDenyWriteExecute") == ["yes"]:
        memory = lib.seccomp_init(allow)
        rule(memory, errno_(EPERM), "mmap", [Arg(2, MASKED, 6, 6)])
        for name in ("mprotect", "pkey_mprotect"):
            rule(memory, errno_(EPERM), name, [Arg(2, MASKED, 4, 4)])
        rule(memory, errno_(EPERM), "shmat", [Arg(2, MASKED, 0o100000, 0o100000)])
        made.append(memory)
    families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
    wanted = {families[f] for f in s["RestrictAddressFamilies"][0].split()}
    sockets = lib.seccomp_init(allow)
    for family in set(range(46)) - wanted:
        rule(sockets, errno_(EAFNOSUPPORT), "socket", [Arg(0, EQ, family)])
    rule(sockets, errno_(EAFNOSUPPORT), "socket", [Arg(0, GT, 45)])
    made.append(sockets)
    # Last, because it forbids to load more of them.
    calls = lib.seccomp_init(errno_(EPERM))
    for name in syscalls(s["SystemCallFilter"]):
        rule(calls, allow, name)
    made.append(calls)
    return lambda: [lib.seccomp_load(c) for c in made]


def read_only(state):
    """ProtectSystem=strict: everything read-only but the state folder. False where this machine forbids it."""
    CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
    MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, RDONLY = 442, -100, 0x8000, 1
    attr = lambda on, off: (ctypes.c_uint64 * 4)(on, off, 0, 0)
    path = state.encode()
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return False
    if libc.mount(path, path, None, MS_BIND, None) != 0:
        return False
    set_ = lambda p, flags, a: libc.syscall(MOUNT_SETATTR, AT_FDCWD, p, flags, ctypes.byref(a), ctypes.sizeof(a)) == 0
    return set_(b"/", AT_RECURSIVE, attr(RDONLY, 0)) and set_(path, 0, attr(0, RDONLY))


def become(s, user, state, log, seccomp):
    """Turns this process into what the unit says, but for its program."""
    for fd, to in ((os.open("/dev/null", os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(fd, to)
    for limit in ("CORE", "NOFILE"):
        kind, value = getattr(resource, f"RLIMIT_{limit}"), int(s[f"Limit{limit}"][0])
        # Never above what this session was given: a container may not raise it.
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    if user:
        if not read_only(state):
            os.write(2, b"unit.py: this machine gives no read-only file system\n")
        os.setgroups([])
        os.setresgid(*[user.pw_gid] * 3)
        os.setresuid(*[user.pw_uid] * 3)
    os.umask(int(s["UMask"][0], 8))
    if libc.prctl(38, 1, 0, 0, 0) != 0 or any(seccomp()):  # PR_SET_NO_NEW_PRIVS
        raise OSError("no system call filter")


def start(unit):
    s = settings(f"{root}/etc/systemd/system/{unit}")
    user = pwd.getpwnam(s["User"][0]) if os.getuid() == 0 else None
    folder = credential(unit, s, user)
    state = f"{root}/var/lib/{s['StateDirectory'][0]}"
    # The unit's paths are those of a machine of its own; here everything lies below $DESTDIR.
    words = s["ExecStart"][0].replace("%d", folder).split()
    words = [re.sub(r"^/(usr|etc|var)/", rf"{root}/\1/", w) for w in words]
    seccomp = filters(s)
    os.makedirs(f"{root}/var/log", exist_ok=True)
    log = os.open(log_of(unit), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    hear, tell = os.pipe2(os.O_CLOEXEC)
    between = os.fork()
    if between == 0:
        os.setsid()
        pid = os.fork()
        if pid:
            os.write(tell, f"pid {pid}\n".encode())
            os._exit(0)
        try:
            become(s, user, state, log, seccomp)
            env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CREDENTIALS_DIRECTORY": folder, "STATE_DIRECTORY": state}
            os.execve(words[0], words, env)
        except (OSError, ValueError) as e:
            os.write(tell, f"error {e}\n".encode())
        os._exit(203)
    os.waitpid(between, 0)
    os.close(tell)
    # Ends when the program runs, as Type=exec: the pipe closes at execve.
    said = dict(line.split(" ", 1) for line in os.fdopen(hear).read().splitlines())
    with open(pid_file(unit), "w") as f:
        f.write(said["pid"])
    if "error" in said:
        sys.exit(f"{unit}: {words[0]}: {said['error']}")


def log_of(unit):
    return f"{root}/var/log/{unit}.log"


def pid_file(unit):
    return f"{root}/run/{unit}.pid"


def running(unit):
    try:
        pid = int(open(pid_file(unit)).read())
        stat = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if stat == "Z" else pid


def stop(unit):
    pid = running(unit)
    if pid:
        os.kill(pid, signal.SIGTERM)
        for _ in range(300):
            if not running(unit):
                break
            time.sleep(0.1)
        else:
            os.kill(pid, signal.SIGKILL)
            print(f"{unit}: killed after 30 s", file=sys.stderr)
    if os.path.exists(pid_file(unit)):
        os.unlink(pid_file(unit))


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    verb, unit = words[0], (words[1] if len(words) > 1 else "")
    unit = unit if not unit or unit.endswith(".service") else unit + ".service"
    os.makedirs(f"{root}/run", exist_ok=True)
    if verb in ("daemon-reload", "reset-failed"):
        return 0
    if verb in ("start", "enable") and not running(unit):
        start(unit)
    elif verb == "stop":
        stop(unit)
    elif verb == "restart":
        stop(unit)
        start(unit)
    elif verb == "is-active":
        return 0 if running(unit) else 3
    elif verb == "is-failed":
        return 0 if os.path.exists(pid_file(unit)) and not running(unit) else 1
    elif verb not in ("start", "enable"):
        sys.exit(f"unit.py: systemctl {verb} is not tried here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
