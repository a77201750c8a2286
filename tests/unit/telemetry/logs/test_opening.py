"""All logs of one gateway: where each goes, and how it looks there."""

import json
import logging
import os
import pty
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import NO_AUDIT, ORIGIN
from gateway.config.log import LogFormat, LogOptions
from gateway.telemetry.event import about
from gateway.telemetry.logs.opening import check_log_files, open_command_audit, open_logs
from gateway.telemetry.logs.writer import LogError
from gateway.telemetry.masking import PathMasks
from tests.support.entries import bindings, entry

logger = logging.getLogger("gateway.tests")


def options(**settings: Any) -> LogOptions:
    return LogOptions(**({"access": "off", "events": "off", "audit": "off"} | settings))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_each_log_has_its_own_file(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("access", "events", "audit")}
    async with open_logs(options(**files)) as logs:
        logs.observers[0].ended(entry())
        logs.audit.record("key.created")
        with logs.speaking_for_program():
            logger.info("up", extra=about("gateway.upstream.up", gateway__upstream="a"))
    assert [len(lines(file)) for file in files.values()] == [1, 1, 1]
    assert lines(files["events"])[0]["gateway.upstream"] == "a"


async def test_all_can_share_one_file_and_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "all.log"
    async with open_logs(options(access=file, events=file, audit=file)) as logs:
        logs.observers[0].ended(entry())
        logs.audit.record("key.created")
        with logs.speaking_for_program():
            logger.warning("careful")
    scopes = {line["scope.name"] for line in lines(file)}
    assert scopes == {"gateway.access", "gateway.audit", "gateway.tests"}


async def test_logs_that_are_off_write_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    async with open_logs(options()) as logs:
        assert not logs.observers
        logs.audit.record("key.created")
        with logs.speaking_for_program():
            logger.error("nobody hears")
        assert logs.audit is NO_AUDIT
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_standard_streams_are_written_and_left_open(
    stream: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_logs(options(access=stream, audit=stream)) as logs:
        logs.observers[0].ended(entry())
        logs.audit.record("key.created")
    out, err = capfd.readouterr()
    assert len((out if stream == "stdout" else err).splitlines()) == 2
    print("still open", flush=True)


async def test_a_file_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot write the log to"):
        async with open_logs(options(access=tmp_path / "a", audit=tmp_path / "no" / "b")):
            pass


async def test_a_record_brings_the_masks_of_its_path(tmp_path: Path) -> None:
    file = tmp_path / "a"
    async with open_logs(options(access=file)) as logs:
        masks, binding = PathMasks(bindings().values()), bindings()["/v1/cards/{number}"]
        logs.observers[0].ended(entry(path="/v1/cards/S3CRET", masks=masks, binding=binding))
    assert lines(file)[0]["url.path"] == "/v1/cards/***"


async def shown_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, form: LogFormat = LogFormat.AUTO, times: int = 1
) -> str:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        async with open_logs(options(access="stdout", audit="stdout", format=form)) as logs:
            for _ in range(times):
                logs.observers[0].ended(entry())
                logs.audit.record("key.created", principal="ada")
        os.set_blocking(leader, False)
        shown = ""
        with suppress(BlockingIOError):
            while data := os.read(leader, 65536):
                shown += data.decode()
    os.close(leader)
    return shown


async def test_a_terminal_is_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    shown = await shown_on_a_terminal(monkeypatch)
    assert "\x1b[32mINFO \x1b[0m GET /v1/holders/ada \x1b[32m200\x1b[0m OK" in shown
    assert "audit key.created" in shown


async def test_a_terminal_shows_lines_in_order_and_dated(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = await shown_on_a_terminal(monkeypatch, times=20)
    words = ["audit" if " audit " in line else "access" for line in shown.splitlines()]
    assert words == ["access", "audit"] * 20
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", one) for one in shown.splitlines()
    )


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
async def test_people_can_do_without_colours(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    shown = await shown_on_a_terminal(monkeypatch)
    assert "INFO  GET /v1/holders/ada" in shown
    assert "\x1b" not in shown


async def test_a_terminal_can_have_json(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = await shown_on_a_terminal(monkeypatch, LogFormat.JSON)
    assert all(json.loads(line) for line in shown.splitlines())


async def test_a_file_can_have_text_but_the_audit_trail_stays_json(tmp_path: Path) -> None:
    access, audit = tmp_path / "access", tmp_path / "audit"
    async with open_logs(options(access=access, audit=audit, format=LogFormat.TEXT)) as logs:
        logs.observers[0].ended(entry())
        logs.audit.record("key.created")
    assert access.read_text().startswith("1970-01-01T00:00:01.500Z INFO  GET ")
    assert lines(audit)[0]["event.name"] == "key.created"


async def test_the_trail_tells_who_what_from_where_and_with_which_outcome(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    token = ORIGIN.set(("request-1", "192.0.2.1"))
    async with open_logs(options(audit=file, audit_fsync=True, sample=0, level="error")) as logs:
        logs.audit.record("token.issued", principal="ada", client="app", family="f")
        logs.audit.record("login.failed", principal="bob", peer="192.0.2.9", reason="no")
    ORIGIN.reset(token)
    issued, failed = lines(file)
    assert issued.pop("timestamp").endswith("Z")
    assert issued.pop("process.pid") == os.getpid()
    assert issued == {
        "severity_text": "INFO",
        "scope.name": "gateway.audit",
        "event.name": "token.issued",
        "gateway.outcome": "success",
        "gateway.request.id": "request-1",
        "client.address": "192.0.2.1",
        "gateway.audit.number": 1,
        "enduser.id": "ada",
        "gateway.client.id": "app",
        "gateway.login.id": "f",
    }
    assert (failed["gateway.outcome"], failed["gateway.audit.number"]) == ("failure", 2)
    assert failed["client.address"] == "192.0.2.9"


@pytest.mark.parametrize("event", ["login.failed", "policy.refused", "token.reuse"])
async def test_failures_that_say_the_same_do_not_fill_the_trail(tmp_path: Path, event: str) -> None:
    file = tmp_path / "audit"
    async with open_logs(options(audit=file)) as logs:
        for _ in range(1000):
            logs.audit.record(event, peer="192.0.2.9", reason="no")
        logs.audit.record(event, peer="192.0.2.8", reason="no")
        for _ in range(2):
            logs.audit.record("token.issued", principal="ada")
    names = [(line["event.name"], line.get("client.address")) for line in lines(file)]
    failed = [(event, "192.0.2.9"), (event, "192.0.2.8")]
    assert names == [*failed, *[("token.issued", None)] * 2]


@pytest.mark.parametrize("text", ['a\n{"event.name":"token.revoked"}', "\udcff\x1b[2J", "x" * 9999])
async def test_nobody_forges_a_line_of_the_trail(tmp_path: Path, text: str) -> None:
    file = tmp_path / "audit"
    async with open_logs(options(audit=file)) as logs:
        logs.audit.record("login.failed", principal=text, reason=text, **{'a"b': text})
    (line,) = lines(file)
    assert line["event.name"] == "login.failed"
    assert len(line["enduser.id"]) < 1100


async def test_a_failure_is_told_by_type_and_place_but_not_in_words(tmp_path: Path) -> None:
    file = tmp_path / "events"
    async with open_logs(options(events=file)) as logs:
        with logs.speaking_for_program():
            for _ in range(2):
                try:
                    int("S3CRET")
                except ValueError:
                    logger.exception("it failed")
                logs.levels.lower()
    plain, detailed = lines(file)
    assert (plain["body"], plain["exception.type"]) == ("it failed", "ValueError")
    assert "test_opening.py" in plain["exception.stacktrace"]
    assert "S3CRET" not in json.dumps(plain)
    assert "S3CRET" in detailed["exception.message"]


async def test_the_program_speaks_here_only_while_it_is_asked_to(tmp_path: Path) -> None:
    gateway = logging.getLogger("gateway")
    before = (gateway.level, gateway.propagate, list(gateway.handlers))
    async with open_logs(options(events=tmp_path / "events")) as logs:
        with logs.speaking_for_program():
            logger.debug("too much")
            logger.info("enough")
        logger.debug("elsewhere")
    assert (gateway.level, gateway.propagate, list(gateway.handlers)) == before
    assert [line["body"] for line in lines(tmp_path / "events")] == ["enough"]


def test_what_commands_do_is_in_the_trail_in_the_name_of_who_runs_them(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    with open_command_audit(options(audit=file)) as audit:
        audit.record("key.created", credential="k1")
    (line,) = lines(file)
    assert (line["event.name"], line["gateway.credential.id"]) == ("key.created", "k1")
    assert line["process.user.name"]
    assert "gateway.request.id" not in line


@pytest.mark.parametrize("destination", ["stdout", "stderr", "off"])
def test_commands_keep_the_trail_out_of_what_people_and_scripts_read(destination: str) -> None:
    with open_command_audit(options(audit=destination)) as audit:
        assert audit is NO_AUDIT


def test_a_pipe_without_a_reader_does_not_pass_the_check(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    options = LogOptions(access=tmp_path / "pipe")
    with pytest.raises(LogError, match=r"pipe: it is a pipe that no process reads$"):
        check_log_files(options)
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    check_log_files(options)
    os.close(reader)
