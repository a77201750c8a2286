"""The messages to a service manager, on a real socket of sd_notify(3)."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.process.service_manager import ServiceManager


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.settimeout(5)
        yield one


def manager(heard: socket.socket, **more: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": heard.getsockname(), **more})


def messages(heard: socket.socket) -> list[str]:
    """The messages so far."""
    heard.setblocking(False)
    found = []
    while True:
        try:
            found.append(heard.recv(4096).decode())
        except BlockingIOError:
            return found


def test_the_states_of_a_service(heard: socket.socket) -> None:
    service = manager(heard)
    service.ready("serving 8 routes")
    service.stopping()
    assert messages(heard) == [
        "READY=1\nSTATUS=serving 8 routes",
        "STOPPING=1\nSTATUS=finishing the requests under way",
    ]


def test_a_reload_ends_with_ready_and_the_status_of_then(heard: socket.socket) -> None:
    service = manager(heard)
    before = time.monotonic_ns() // 1000
    service.reloading(is_going_on=True)
    service.reloading(is_going_on=True)
    service.ready("serving 9 routes")
    service.reloading(is_going_on=False)
    service.reloading(is_going_on=False)
    begun, ended = messages(heard)
    state, stamp = begun.split("\n")
    assert state == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert ended == "READY=1\nSTATUS=serving 9 routes"


def test_a_status_cannot_bring_another_state(heard: socket.socket) -> None:
    manager(heard).ready("a\nMAINPID=1 " + "x" * 5000)
    (message,) = messages(heard)
    assert message.startswith("READY=1\nSTATUS=a MAINPID=1 x")
    assert len(message) == 1024


def test_signs_of_life_come_at_half_of_the_limit(heard: socket.socket) -> None:
    service = manager(heard, WATCHDOG_USEC="60000000", WATCHDOG_PID=str(os.getpid()))
    assert service.alive_every_s == 30
    for _ in range(3):
        service.alive()
    assert messages(heard) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "9" * 400},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_signs_of_life_that_nobody_expects(
    heard: socket.socket, variables: dict[str, str]
) -> None:
    service = manager(heard, **variables)
    service.alive()
    assert service.alive_every_s is None
    assert messages(heard) == []


def test_an_abstract_socket() -> None:
    name = f"gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready("here")
        assert messages(heard) == ["READY=1\nSTATUS=here"]


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1", "/no/such/socket"])
def test_a_manager_that_cannot_be_reached_changes_nothing(address: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": address}).ready("here")


def test_a_manager_that_does_not_read_holds_nobody_up(heard: socket.socket) -> None:
    service = manager(heard)
    for _ in range(5000):
        service.stopping()


def test_children_inherit_nothing_of_it() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    ServiceManager(environment)
    assert environment == {"HOME": "/"}
