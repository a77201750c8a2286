"""A network namespace that some links join with this one, each of which can be cut."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest


class Namespace:
    """A network of its own. Its addresses are of TEST-NET-1, which nobody else has (RFC 5737)."""

    def __init__(self) -> None:
        self.name = f"gw{os.getpid()}"
        self.inside: Sequence[str] = ("ip", "netns", "exec", self.name)
        """The start of a command that runs in it."""
        self._links = 0

    def link(self) -> "Link":
        """Adds a link."""
        self._links += 1
        here = f"{self.name}h{self._links}"
        there = f"{self.name}n{self._links}"
        first = 4 * self._links
        own, address = f"192.0.2.{first + 1}", f"192.0.2.{first + 2}"
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
        hardware = "02:00:00:00:00:02"
        _ip("-n", self.name, "link", "set", there, "address", hardware)
        _ip("addr", "add", f"{own}/30", "dev", here)
        _ip("link", "set", here, "up")
        _ip("-n", self.name, "addr", "add", f"{address}/30", "dev", there)
        _ip("-n", self.name, "link", "set", there, "up")
        # Known for ever: else a cut link would soon be told to senders as an unreachable host.
        _ip("neigh", "replace", address, "lladdr", hardware, "dev", here, "nud", "permanent")
        return Link(self.name, there, address)


class Link:
    """A way into a namespace; while it is cut, packets vanish in both directions."""

    def __init__(self, network: str, far_end: str, address: str) -> None:
        self._set_far_end = ("-n", network, "link", "set", far_end)
        self.address = address
        """The address at its other end."""

    def cut(self) -> None:
        """Loses every packet from now on; nothing tells the senders."""
        _ip(*self._set_far_end, "down")

    def mend(self) -> None:
        """Lets packets pass again."""
        _ip(*self._set_far_end, "up")


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A namespace for the block; its links vanish with it."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and ip for a network namespace: apt-get install iproute2")
    network = Namespace()
    try:
        _ip("netns", "add", network.name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"needs a machine that permits network namespaces: {error.stderr.strip()}")
    try:
        yield network
    finally:
        _ip("netns", "del", network.name)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
