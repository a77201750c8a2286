"""Lines of the access log, and where they go."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.frontend.middleware.access_log import (
    AccessLog,
    AccessLogError,
    Entry,
    as_line,
    open_access_log,
)


def entry(**changes: object) -> Entry:
    plain = Entry(
        1.5, "id", "GET", "/a", "/{x}", "s.M", 200, "OK", 0.0012345, 1, 2, "127.0.0.1", "me"
    )
    return plain._replace(**changes)  # type: ignore[arg-type] # any field, of its own type


def test_a_line_is_one_json_object() -> None:
    line = as_line(entry())
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "request_id": "id",
        "method": "GET",
        "path": "/a",
        "template": "/{x}",
        "rpc": "s.M",
        "status": 200,
        "code": "OK",
        "duration_ms": 1.234,
        "request_bytes": 1,
        "response_bytes": 2,
        "peer": "127.0.0.1",
        "user_agent": "me",
    }


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\x00\x1b[31m", '"},{"', "\\", "\u2028", "\udc80", "é"]
)
def test_nothing_a_client_sends_breaks_a_line(text: str) -> None:
    line = as_line(entry(path=text, user_agent=text, method=text))
    assert line.count("\n") == 1
    assert line.isascii()
    assert line.removesuffix("\n").isprintable()
    assert json.loads(line)["path"] == text


async def test_lines_wait_for_the_next_flush(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    async with open_access_log(file) as log:
        log.add(entry())
        assert file.read_text() == ""
        log.flush()
        assert len(file.read_text().splitlines()) == 1
        log.add(entry())
    assert len(file.read_text().splitlines()) == 2


async def test_many_lines_do_not_wait(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    async with open_access_log(file) as log:
        for _ in range(300):
            log.add(entry())
        assert len(file.read_text().splitlines()) == 256


async def test_a_little_later_everything_is_there(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    async with open_access_log(file) as log:
        log.add(entry())
        await asyncio.sleep(0.7)
        assert len(file.read_text().splitlines()) == 1


async def test_a_log_is_continued_and_reopened_when_rotated(tmp_path: Path) -> None:
    file, old = tmp_path / "access.log", tmp_path / "access.log.1"
    file.write_text("before\n")
    async with open_access_log(file) as log:
        log.add(entry(path="/1"))
        log.flush()
        file.rename(old)
        log.add(entry(path="/2"))
    assert old.read_text().splitlines()[0] == "before"
    assert '"/1"' in old.read_text()
    assert '"/2"' in file.read_text()


async def test_a_place_that_vanishes_and_comes_back_loses_no_later_lines(tmp_path: Path) -> None:
    place = tmp_path / "logs"
    place.mkdir()
    async with open_access_log(place / "access.log") as log:
        log.add(entry(path="/1"))
        log.flush()
        place.rename(tmp_path / "elsewhere")
        log.add(entry(path="/2"))
        log.flush()
        place.mkdir()
        log.add(entry(path="/3"))
    assert '"/3"' in (place / "access.log").read_text()


@pytest.mark.parametrize("destination", ["stdout", "stderr"])
async def test_standard_streams_are_written_and_left_open(
    destination: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_access_log(destination) as log:  # type: ignore[arg-type] # both are literals
        log.add(entry())
    out, err = capfd.readouterr()
    assert json.loads(out if destination == "stdout" else err)["path"] == "/a"
    print("still open", flush=True)


async def test_a_file_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "access.log"
    with pytest.raises(AccessLogError, match=r"^cannot write the access log to .*: No such file"):
        async with open_access_log(file):
            pass


def test_a_log_that_is_off_keeps_nothing() -> None:
    log = AccessLog(None)
    log.add(entry())
    assert log._entries == []
