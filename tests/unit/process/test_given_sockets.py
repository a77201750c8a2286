"""The sockets that a service manager has opened, as the environment describes them."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gateway.config.model import Config
from gateway.listeners.sockets import ListenError
from gateway.process.given_sockets import GivenSockets, take_given


def environment(count: object = 1, **more: str) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LANG": "C", **more}


@pytest.fixture
def port() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def passed(one: socket.socket) -> int:
    """A descriptor of a socket, for the one that takes it."""
    return os.dup(one.fileno())


def taken(one: socket.socket, name: str, stack: ExitStack) -> GivenSockets:
    given = take_given(environment(LISTEN_FDNAMES=name), passed(one))
    for each in (given.public or []) + (given.admin or []):
        stack.enter_context(closing(each))
    return given


def test_a_named_socket_is_taken_and_no_child_is_told(port: socket.socket) -> None:
    variables = environment(LISTEN_FDNAMES="gateway", LISTEN_PIDFDID="7")
    number = passed(port)
    os.set_inheritable(number, True)
    given = take_given(variables, number)
    assert variables == {"LANG": "C"}
    assert given.admin is None
    assert given.public is not None
    (only,) = given.public
    with only:
        assert only.getsockname() == port.getsockname()
        assert not only.get_inheritable()


def test_the_address_of_the_socket_counts(port: socket.socket) -> None:
    with ExitStack() as stack:
        given = taken(port, "gateway", stack)
        config = given.applied_to(Config(listen="unix:/run/other.sock"))
        assert config.listen == f"127.0.0.1:{port.getsockname()[1]}"
        assert config.origins["listen"] == "a socket of the service manager"
        assert config.admin.listen is None


def test_an_abstract_unix_socket_has_a_name() -> None:
    with socket.socket(socket.AF_UNIX) as one, ExitStack() as stack:
        one.bind(f"\0gateway-{os.getpid()}")
        one.listen()
        config = taken(one, "gateway", stack).applied_to(Config())
        assert config.listen == f"unix:@gateway-{os.getpid()}"


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"LISTEN_FDS": "1"}, id="no process"),
        pytest.param({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, id="another process"),
        pytest.param(environment(0), id="no descriptor"),
    ],
)
def test_what_is_not_for_this_process_means_nothing(variables: dict[str, str]) -> None:
    assert take_given(variables) == GivenSockets()
    assert not [name for name in variables if name.startswith("LISTEN_")]


@pytest.mark.parametrize(
    ("count", "more", "said"),
    [
        ("two", {}, "LISTEN_FDS: 'two' is not the number"),
        ("-1", {}, "LISTEN_FDS: '-1' is not the number"),
        ("99999999999", {}, "is not the number"),
        ("2", {"LISTEN_FDNAMES": "gateway"}, "LISTEN_FDNAMES has 1 names, but LISTEN_FDS is 2"),
        ("1", {}, "named 'unknown', belongs to no listener: expected FileDescriptorName=gateway"),
        ("1", {"LISTEN_FDNAMES": "gateway.socket"}, "named 'gateway.socket', belongs to no"),
        ("1", {"LISTEN_FDNAMES": "admin"}, "is not a socket: Bad file descriptor"),
    ],
)
def test_what_is_wrong_is_said(count: str, more: dict[str, str], said: str) -> None:
    with pytest.raises(ListenError, match=said):
        take_given(environment(count, **more), 1_000_000)


def test_a_file_is_no_socket(tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(ListenError, match="is not a socket: Socket operation on non-socket"):
            take_given(environment(LISTEN_FDNAMES="gateway"), number)
    finally:
        os.close(number)


def test_a_connection_is_not_for_a_listener(port: socket.socket) -> None:
    with socket.create_connection(port.getsockname()) as client:
        number = passed(client)
        with pytest.raises(ListenError, match=r"expected ListenStream= with Accept=no"):
            take_given(environment(LISTEN_FDNAMES="gateway"), number)


def test_the_admin_listener_has_one_socket(port: socket.socket) -> None:
    first = fcntl.fcntl(port.fileno(), fcntl.F_DUPFD, 500)  # the next number is free as well
    os.dup2(first, first + 1)
    with pytest.raises(ListenError, match="2 sockets are named admin: expected one"):
        take_given(environment(2, LISTEN_FDNAMES="admin:admin"), first)


def test_the_admin_listener_stays_closed_to_other_machines() -> None:
    with socket.create_server(("0.0.0.0", 0)) as one, ExitStack() as stack:
        given = taken(one, "admin", stack)
        with pytest.raises(ListenError, match="is open to other machines: set admin"):
            given.applied_to(Config())


def test_tls_needs_a_port(tmp_path: Path) -> None:
    tls = {"cert_file": tmp_path / "a", "key_file": tmp_path / "b"}
    config = Config.model_validate({"tls": tls})
    with socket.socket(socket.AF_UNIX) as one, ExitStack() as stack:
        one.bind(str(tmp_path / "gateway.sock"))
        one.listen()
        given = taken(one, "gateway", stack)
        with pytest.raises(ListenError, match="expected a TCP socket"):
            given.applied_to(config)
