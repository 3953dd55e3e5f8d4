"""Runs commands one after the other and says what each cost.

Input: a line of JSON each, `{"command": [...], "environment": {...}, "seconds": 60}`. Output: a line each,
`{"exit": 0, "signal": 0, "peak_bytes": 1, "seconds": 0.1}`; exit -1 when a signal ended it. Linux tells
the peak memory of one child only to whoever waits for it by `wait4`. The child is started by posix_spawn,
so that its peak is not that of this process.
"""

import json
import os
import signal
import sys
import time


def weigh(command, environment, seconds):
    quiet = os.open(os.devnull, os.O_RDWR)
    files = [(os.POSIX_SPAWN_DUP2, quiet, number) for number in (0, 1, 2)]
    began = time.monotonic()
    child = os.posix_spawn(command[0], command, environment, file_actions=files)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(seconds)
    _, status, usage = os.wait4(child, 0)
    signal.alarm(0)
    os.close(quiet)
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return {
        "exit": -1 if ended else os.WEXITSTATUS(status),
        "signal": ended,
        "peak_bytes": usage.ru_maxrss * 1024,
        "seconds": round(time.monotonic() - began, 3),
    }


for line in sys.stdin:
    print(json.dumps(weigh(**json.loads(line))), flush=True)
