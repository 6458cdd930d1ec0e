"""What children of tests do; each is the task of a ``verify.workers.Helper``."""

from __future__ import annotations

import os
import time

from verify.certify.team import Job
from verify.errors import UnsupportedOperator, UsageError


def echo(line):
    while True:
        line.put(line.get())


def noisy(line):
    print("this is not a message", flush=True)
    os.system("echo nor is this")
    line.put("done")
    line.get()


def refuses(line):
    raise UsageError("the child's own words")


def refuses_untransportably(line):
    raise UnsupportedOperator("node", "op")  # its arguments are not its message: it cannot be unpickled


def dies(line):
    os._exit(7)


def sleeps(line):
    line.put(os.getpid())
    time.sleep(600)


class SlowJob(Job):
    """Takes its time, so that a helper gets some work too."""

    def settled(self, network, workers=1):
        time.sleep(0.3)
        return super().settled(network, workers)
