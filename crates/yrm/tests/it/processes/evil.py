"""An uploader without rights and without scruples, bounded in time and count. Runs as a user of its own.

Usage: evil.py INBOX PAIRS SEED SECONDS EVIL...

PAIRS holds N.signed and N.twin: of the same size, and only the first one passes the folder's rule; beside it lies
`ports`, where the services answer HTTP at the time. Each evil is one function, called again and again in turn; what the service makes of it is judged from outside.
"""

import ctypes
import errno
import fcntl
import os
import random
import socket
import sys
import time

inbox, pairs, seed, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
chance = random.Random(seed)
until = time.monotonic() + seconds
here = os.path.join(inbox, "evil")
libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, EXCHANGE = -100, 2
counts, held, guests = {}, [], []
# No evil leaves more than this behind.
MOST = 400


def name(kind, end=".rpm"):
    counts[kind] = counts.get(kind, 0) + 1
    return os.path.join(here, f"{kind}-{counts[kind] % MOST:04}{end}")


def write(path, data):
    draft = os.path.join(os.path.dirname(path), ".draft-" + str(chance.random()))
    with open(draft, "wb") as file:
        file.write(data)
    os.chmod(draft, 0o644)
    os.rename(draft, path)


def pair():
    number = chance.choice(sorted({entry.split(".")[0] for entry in os.listdir(pairs)}))
    return [open(os.path.join(pairs, f"{number}.{kind}"), "rb").read() for kind in ("signed", "twin")]


def exchange(one, other):
    libc.renameat2(AT_FDCWD, one.encode(), AT_FDCWD, other.encode(), EXCHANGE)


def flip():
    """Changes what was judged to what was not, with the old time: the ETag stays."""
    signed, twin = pair()
    path = name("flip")
    write(path, signed)
    with open(path, "r+b", buffering=0) as file:
        times = os.fstat(file.fileno())
        end = min(until, time.monotonic() + 3)
        while time.monotonic() < end and os.path.exists(path):
            for data in (twin, signed):
                os.pwrite(file.fileno(), data, 0)
                os.utime(file.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))
                time.sleep(chance.random() / 500)


def exchange_files():
    """Exchanges a signed package and its twin under two names."""
    signed, twin = pair()
    one, other = name("exchange"), name("other", ".part")
    write(one, signed)
    write(other, twin)
    end = min(until, time.monotonic() + 3)
    while time.monotonic() < end and os.path.exists(one):
        exchange(one, other)
    for path in (one, other):
        if os.path.isfile(path):
            os.unlink(path)


def exchange_folder():
    """Exchanges junk, which is about to be set aside, and a folder that nobody may enter."""
    junk, folder = name("junk"), name("folder", "")
    write(junk, b"no package, but long enough to be looked at")
    os.utime(junk, (0, 0))
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0)
    end = min(until, time.monotonic() + 3)
    while time.monotonic() < end and os.path.lexists(junk):
        exchange(junk, folder)


def lock():
    """Takes the bucket's lock and keeps it, as any reader may."""
    try:
        file = open(os.path.join(inbox, "..", ".yrm", "lock"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(min(max(until - time.monotonic(), 0), 20))
        file.close()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.ENOENT, errno.EAGAIN):
            raise


def links():
    """Links to everywhere, pipes, sockets."""
    for target in ("/etc/passwd", "../../repo", "../../.yrm", "nowhere", "."):
        path = name("link")
        if not os.path.lexists(path):
            os.symlink(target, path)
    path = name("pipe")
    if not os.path.lexists(path):
        os.mkfifo(path)
    path = name("socket")
    if not os.path.lexists(path) and len(path) < 100:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].bind(path)
        del held[:-5]


def sparse():
    """Much size and no bytes."""
    path = name("sparse")
    with open(path, "wb") as file:
        file.write(pair()[0][:4096])
        file.truncate(2 << 30)
    os.chmod(path, 0o644)


def empty():
    """Empty and hidden files, young and old."""
    for start in ("", "."):
        path = os.path.join(here, start + os.path.basename(name("empty")))
        open(path, "wb").close()
        if chance.random() < 0.5:
            os.utime(path, (0, 0))


def unreadable():
    """Folders whose names can be read and nothing else, and files of which nothing can."""
    for mode in (0o744, 0o711, 0o700):
        folder = name("closed", "")
        if not os.path.exists(folder):
            os.makedirs(folder)
            write(os.path.join(folder, "a.rpm"), pair()[0])
            os.chmod(folder, mode)
    path = name("closed-file")
    write(path, pair()[1])
    os.chmod(path, 0)


def keeps():
    """A folder of its own, out of which nobody else may take anything."""
    folder = name("own", "")
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    write(os.path.join(folder, "a.rpm"), pair()[0])


def junk():
    """In folders of their own what is no package, what passes the rule, and its twin."""
    folder = name("many", "")
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o777)
    write(os.path.join(folder, "junk.rpm"), b"no package, but long enough to be looked at")
    for kind, data in zip(("signed", "twin"), pair()):
        write(os.path.join(folder, kind + ".rpm"), data)


def slow_readers():
    """Guests of the services who ask for nothing, or ever so slowly, or do not read what they asked for."""
    def count(kind):
        counts[kind] = counts.get(kind, 0) + 1

    for guest in list(guests):
        connection, words = guest
        try:
            # Nothing to read yet is fine; its end is not.
            if words == b"" and connection.recv(1) == b"":
                raise ConnectionError
            if words:
                connection.send(words[:1])
                guest[1] = words[1:]
        except BlockingIOError:
            pass
        except OSError:
            count("guest-cut-off")
            connection.close()
            guests.remove(guest)
    with open(os.path.join(os.path.dirname(pairs), "ports")) as file:
        ports = [int(word) for word in file.read().split()]
    for port in ports:
        for said, rest in ((b"", b""), (b"GET /history", b" HTTP/1.1\r\nHost: a\r\n"), (b"GET /history HTTP/1.1\r\nHost: a\r\n\r\n", b"")):
            for _ in range(10 if len(guests) < 600 else 0):
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                connection.settimeout(1)
                try:
                    connection.connect(("127.0.0.1", port))
                    connection.send(said)
                except OSError:
                    count("guest-refused")
                    connection.close()
                    continue
                connection.setblocking(False)
                guests.append([connection, rest])
                count("guest")


os.umask(0)
os.makedirs(here, exist_ok=True)
os.chmod(here, 0o777)
evils = [globals()[evil] for evil in sys.argv[5:]]
while time.monotonic() < until:
    try:
        chance.choice(evils)()
    except OSError as error:
        # The service took it away meanwhile, or would not have it.
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOSPC, errno.EADDRINUSE, errno.EPERM):
            raise
    time.sleep(chance.random() / 5)
print(" ".join(f"{kind}={count}" for kind, count in sorted(counts.items())))
