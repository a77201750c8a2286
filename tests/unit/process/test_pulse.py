"""The signs of life of a worker, and the last one."""

import subprocess
import sys
from multiprocessing import Pipe

from gateway.process.pulse import HeartbeatReader, HeartbeatSender

DIES = """
import os, signal, sys, threading, time
from multiprocessing.connection import Connection
from gateway.process.pulse import HeartbeatSender

class Loop:
    def call_later(self, delay, callback): pass

def waits_for_ever(): time.sleep(60)
def hangs(): os.kill(os.getpid(), signal.SIGABRT)

threading.Thread(target=waits_for_ever, daemon=True).start()
beating = HeartbeatSender(Connection(int(sys.argv[1])))
beating.start(Loop())
hangs()
"""


class Clock:
    """An event loop whose time passes when it is told."""

    def __init__(self) -> None:
        self.due: list[object] = []

    def call_later(self, delay: float, callback: object) -> None:
        self.due.append(callback)


def test_beats_are_heard_and_are_no_stack() -> None:
    ours, theirs = Pipe(duplex=False)
    listening = HeartbeatReader(ours, 1.0)
    assert not listening.read(2.0)  # nothing has come, which is no end either
    assert (listening.last_heard_s, listening.is_over) == (1.0, False)
    clock = Clock()
    beating = HeartbeatSender.__new__(
        HeartbeatSender
    )  # without its hold on this process's fatal signals
    beating._connection = theirs
    beating.start(clock)
    assert listening.read(3.0)
    assert (listening.last_heard_s, listening.stack, len(clock.due)) == (3.0, "", 1)
    theirs.close()
    assert not listening.read(4.0)
    assert listening.is_over
    listening.close(5.0)


def test_a_worker_whose_supervisor_is_gone_stops_showing_life() -> None:
    ours, theirs = Pipe(duplex=False)
    beating = HeartbeatSender.__new__(HeartbeatSender)
    beating._connection = theirs
    ours.close()
    clock = Clock()
    beating.start(clock)
    assert not clock.due
    theirs.close()


def test_the_stack_of_the_event_loop_is_the_first() -> None:
    ours, theirs = Pipe(duplex=False)
    listening = HeartbeatReader(ours, 0.0)
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        check=False,
        timeout=30,
    )
    theirs.close()
    listening.close(1.0)
    assert done.returncode < 0
    lines = listening.stack.splitlines()
    assert lines[0].startswith("Current thread")
    assert lines[1].endswith("in hangs")
    assert any(line.endswith("in waits_for_ever") for line in lines)
    assert not [line for line in lines if "Extension modules" in line or "Fatal" in line]
