"""The unit of systemd: what it says is valid, and what it takes away is not needed."""

import configparser
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from gateway.config.admin import is_local
from gateway.config.drain import DrainOptions
from gateway.process.given_sockets import take_given

UNIT = Path("deploy/systemd/gateway.service")
SOCKETS = [UNIT.with_name("gateway.socket"), UNIT.with_name("gateway-admin.socket")]
MOST_EXPOSURE = 2.0


def analyze(*arguments: str) -> str:
    """The output of systemd-analyze, which must succeed."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    done = subprocess.run(
        [program, *arguments], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def section(unit: Path, name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their letters
    parser.read(unit)
    return parser[name]


def service() -> configparser.SectionProxy:
    return section(UNIT, "Service")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    # The one thing that is missing here is the program.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/gateway/bin/gateway", "/bin/true"))
    assert analyze("verify", str(unit)) == ""


def test_systemd_takes_the_sockets(tmp_path: Path) -> None:
    for one in (UNIT, *SOCKETS):
        text = one.read_text().replace("/opt/gateway/bin/gateway", "/bin/true")
        (tmp_path / one.name).write_text(text)
    assert analyze("verify", *(str(tmp_path / one.name) for one in SOCKETS)) == ""


@pytest.mark.parametrize("unit", SOCKETS, ids=lambda unit: unit.name)
def test_the_gateway_takes_the_sockets_of_the_units(unit: Path) -> None:
    stated = section(unit, "Socket")
    with socket.create_server(("127.0.0.1", 0)) as one:
        variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        variables["LISTEN_FDNAMES"] = stated["FileDescriptorName"]
        given = take_given(variables, os.dup(one.fileno()))
    public = unit.name == "gateway.socket"
    assert (given.public is not None) is public
    for each in (given.public or []) + (given.admin or []):
        each.close()
    assert public or stated["Service"] == UNIT.name
    assert public or is_local(stated["ListenStream"])


def test_the_unit_takes_away_what_the_gateway_does_not_use() -> None:
    shown = analyze("security", "--offline=true", str(UNIT))
    found = re.search(r"Overall exposure level for gateway.service: ([\d.]+)", shown)
    assert found is not None, shown
    assert float(found[1]) <= MOST_EXPOSURE


def test_systemd_waits_for_the_whole_drain() -> None:
    drain = DrainOptions()
    assert float(service()["TimeoutStopSec"]) > drain.delay_s + drain.grace_s + 10 - 1


def test_the_commands_are_those_of_the_gateway() -> None:
    unit = service()
    assert unit["Type"] == "notify"
    assert unit["ExecStart"].split()[1:] == ["serve"]
    assert unit["ExecStartPre"].split()[1:] == ["check"]
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
