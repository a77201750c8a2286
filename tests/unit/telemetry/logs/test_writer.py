"""Lines on their way to a file, a pipe, a full disk."""

import errno
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.telemetry.logs.writer import FileSink, LogError, LogWriter, Sink, StreamSink
from tests.support.polling import until_sync


class Disk:
    """A sink that fails or hangs when told."""

    def __init__(self) -> None:
        self.text = ""
        self.sizes: list[int] = []
        self.error: OSError | None = None
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()

    def write(self, data: bytes, is_closing: Callable[[], bool]) -> None:
        self.entered.set()
        self.free.wait(5)
        if self.error is not None:
            raise self.error
        self.sizes.append(len(data))
        self.text += data.decode()

    def close(self) -> None:
        pass


FULL = OSError(errno.ENOSPC, "No space left on device")


def writer(
    sink: Sink, *, must_keep: bool = False, most: int = 1000, every_s: float = 0.1
) -> LogWriter:
    return LogWriter(
        sink,
        lambda count: f"lost {count}\n",
        must_keep=must_keep,
        most=most,
        every_s=every_s,
    )


def test_lines_are_written_in_order_and_all_of_them_in_the_end() -> None:
    disk = Disk()
    writing = writer(disk)
    for number in range(900):
        writing.add(f"{number}\n".encode())
    writing.add(b"as it is\n")
    assert writing.close()
    assert disk.text == "".join(f"{n}\n" for n in range(900)) + "as it is\n"


def test_lines_are_written_without_being_asked_for() -> None:
    disk = Disk()
    writing = writer(disk)
    writing.add(b"1\n")
    until_sync(lambda: disk.text == "1\n")
    writing.close()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_log_without_lines_takes_no_time_and_the_next_line_is_written() -> None:
    disk = Disk()
    writing = writer(disk, every_s=0.001)
    writing.add(b"1\n")
    until_sync(lambda: disk.text == "1\n")
    status = Path(f"/proc/self/task/{writing._writer.native_id}/status")

    def wakes() -> int:
        return int(status.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])

    until_sync(lambda: writing._is_resting)
    before = wakes()
    time.sleep(0.1)
    assert wakes() <= before + 2
    writing.add(b"2\n")
    until_sync(lambda: disk.text == "1\n2\n")
    writing.close()


def test_a_hurried_line_does_not_wait() -> None:
    disk = Disk()
    writing = writer(disk, every_s=60)
    writing.add(b"1\n")
    writing.hurry()
    until_sync(lambda: disk.text != "")
    writing.close()


def test_full_batches_do_not_wait_and_the_few_after_them_do() -> None:
    disk = Disk()
    writing = writer(disk, most=2000, every_s=60)
    for number in range(1030):
        writing.add(f"{number}\n".encode())
    until_sync(lambda: disk.text != "")
    assert "1023\n" in disk.text
    written = disk.text.count("\n")
    for number in range(1030, 1040):
        writing.add(f"{number}\n".encode())
    assert disk.text.count("\n") == written
    writing.hurry()
    until_sync(lambda: disk.text.count("\n") == 1040)
    writing.close()


def test_many_long_lines_are_written_in_several_pieces() -> None:
    disk = Disk()
    writing = writer(disk, most=2000, every_s=60)
    for _ in range(1025):
        writing.add(b"x" * 1000 + b"\n")
    until_sync(lambda: disk.text.count("\n") >= 1024)
    assert max(disk.sizes) == 128 * 1001
    writing.close()


def test_a_line_is_hurried_while_the_thread_wakes_for_a_full_batch() -> None:
    disk = Disk()
    writing = writer(disk, every_s=60)

    class Hurried(threading.Event):
        is_first = True

        def clear(self) -> None:
            super().clear()
            if self.is_first:
                self.is_first = False
                writing.hurry()

    writing.add(b"1\n")
    waiting, writing._wake = writing._wake, Hurried()
    waiting.set()
    until_sync(lambda: disk.text == "1\n")
    writing.close()


def test_a_disk_that_hangs_keeps_nobody_waiting_and_what_is_lost_is_said() -> None:
    disk = Disk()
    writing = writer(disk, most=10)
    disk.free.clear()
    writing.add(b"0\n")
    writing.hurry()
    assert disk.entered.wait(5)
    for number in range(1, 31):
        writing.add(f"{number}\n".encode())
    assert repr(writing) == "<LogWriter 10 waiting, 20 dropped>"
    disk.free.set()
    assert writing.close()
    assert disk.text == "0\nlost 20\n" + "".join(f"{n}\n" for n in range(1, 11))


def test_long_lines_that_wait_are_bounded_by_their_size() -> None:
    disk = Disk()
    writing = writer(disk)
    disk.free.clear()
    writing.add(b"0\n")
    writing.hurry()
    assert disk.entered.wait(5)
    line = b"x" * (8 * 1024 * 1024 - 1) + b"\n"
    for _ in range(20):
        writing.add(line)
    kept = 20 - writing.dropped
    assert 8 <= kept <= 9, "64 MiB, and the line with which they are reached"
    disk.free.set()
    assert writing.close()
    assert disk.text.startswith(f"0\nlost {writing.reported}\n")
    assert disk.text.count("\n") == kept + 2


def test_lines_that_were_written_count_no_more() -> None:
    disk = Disk()
    writing = writer(disk)
    line = b"x" * (8 * 1024 * 1024 - 1) + b"\n"
    for number in range(1, 13):
        writing.add(line)
        writing.hurry()
        until_sync(lambda number=number: disk.text.count("\n") == number)  # type: ignore[misc]
    assert not writing.dropped
    writing.close()


def test_lines_that_could_not_be_written_are_counted_and_said() -> None:
    disk = Disk()
    writing = writer(disk)
    disk.error = FULL
    for number in range(3):
        writing.add(f"{number}\n".encode())
    writing.hurry()
    until_sync(lambda: writing.dropped == 3)
    disk.error = None
    writing.add(b"3\n")
    writing.close()
    assert disk.text == "lost 3\n3\n"


def test_lines_that_must_be_kept_are_written_when_they_can_be() -> None:
    disk = Disk()
    writing = writer(disk, must_keep=True)
    disk.error = FULL
    for number in range(300):
        writing.add(f"{number}\n".encode())
    writing.hurry()
    assert disk.entered.wait(5)
    disk.error = None
    assert writing.close()
    assert disk.text == "".join(f"{n}\n" for n in range(300))


def test_lines_that_must_be_kept_but_cannot_be_are_told_of_in_the_end() -> None:
    disk = Disk()
    disk.error = FULL
    writing = writer(disk, must_keep=True)
    writing.add(b"1\n")
    assert not writing.close()


def test_a_file_is_continued(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text("before\n")
    writing = writer(FileSink(file))
    writing.add(b"1\n")
    writing.close()
    assert file.read_text() == "before\n1\n"


@pytest.mark.parametrize("sync", [False, True])
def test_a_rotated_file_is_made_anew_and_no_line_is_lost(tmp_path: Path, sync: bool) -> None:
    file = tmp_path / "a.log"
    writing = writer(FileSink(file, sync=sync))
    for turn in range(5):
        for number in range(40):
            writing.add(f"{turn * 40 + number}\n".encode())
            if number == 20:
                writing.hurry()
                until_sync(lambda: file.exists() and not writing.waiting)
                file.rename(tmp_path / f"a.log.{turn}")
                if turn % 2:
                    file.touch()  # logrotate's `create`
    writing.close()
    rotated = sorted(tmp_path.iterdir())
    assert len(rotated) == 6
    numbers = [int(line) for one in rotated for line in one.read_text().splitlines()]
    assert sorted(numbers) == list(range(200))


def test_while_its_place_is_gone_the_old_file_takes_the_lines(tmp_path: Path) -> None:
    place = tmp_path / "logs"
    place.mkdir()
    sink = FileSink(place / "a.log")
    place.rename(tmp_path / "old")
    sink.write(b"1\n", lambda: False)
    place.mkdir()
    sink.write(b"2\n", lambda: False)
    sink.close()
    assert (tmp_path / "old" / "a.log").read_text() == "1\n"
    assert (place / "a.log").read_text() == "2\n"


def test_others_cannot_read_a_new_file(tmp_path: Path) -> None:
    FileSink(tmp_path / "a.log").close()
    assert (tmp_path / "a.log").stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"^cannot write the log to .*a\.log: No such file"):
        FileSink(tmp_path / "nowhere" / "a.log")


def test_a_pipe_without_a_reader_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogError, match=r"pipe: it is a pipe that no process reads$"):
        FileSink(tmp_path / "pipe")


def test_a_pipe_with_a_reader_takes_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(tmp_path / "pipe")
    sink.write(b"one\n", lambda: False)
    assert os.read(reader, 10) == b"one\n"
    sink.close()
    os.close(reader)


def test_a_file_replaced_by_a_pipe_without_a_reader_blocks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    sink = FileSink(path)
    path.rename(tmp_path / "old.log")
    os.mkfifo(path)
    sink.write(b"one\n", lambda: False)
    assert (tmp_path / "old.log").read_text() == "one\n"
    sink.close()


def test_a_pipe_that_is_full_and_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sent = b"x" * 300_000
    thread = threading.Thread(target=StreamSink(writing).write, args=(sent, lambda: False))
    thread.start()
    received = b""
    while len(received) < len(sent):
        received += os.read(reading, 65536)
    thread.join(5)
    assert received == sent
    os.close(reading)
    os.close(writing)


def test_a_pipe_that_nobody_reads_does_not_keep_a_gateway_from_stopping() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with pytest.raises(BlockingIOError):
        StreamSink(writing).write(b"x" * 300_000, lambda: True)
    os.close(reading)
    os.close(writing)


def test_a_closed_pipe_fails_no_one() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    one = writer(StreamSink(writing))
    one.add(b"1\n")
    one.hurry()
    until_sync(lambda: one.dropped == 1)
    one.close()
    os.close(writing)


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """While the block runs no file can grow beyond a size; a write that would is cut there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_line_behind_a_torn_one_begins_on_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    sink = FileSink(file)
    sink.write(b"one\n", lambda: False)
    with disk_of(6), pytest.raises(OSError, match="File too large"):
        sink.write(b"two\n", lambda: False)
    sink.write(b"three\n", lambda: False)
    sink.write(b"four\n", lambda: False)
    assert file.read_text() == "one\ntw\nthree\nfour\n"


def test_no_line_is_empty_where_a_write_failed_between_two(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    sink = FileSink(file)
    sink.write(b"one\n", lambda: False)
    with disk_of(4), pytest.raises(OSError, match="File too large"):
        sink.write(b"two\n", lambda: False)
    sink.write(b"three\n", lambda: False)
    assert file.read_text() == "one\nthree\n"


def test_lines_torn_by_another_process_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text("before it was killed it wro")
    sink = FileSink(file)
    sink.write(b"one\n", lambda: False)
    with file.open("a") as other:
        other.write("another worker's li")
    sink.write(b"two\n", lambda: False)
    assert file.read_text().splitlines() == [
        "before it was killed it wro",
        "one",
        "another worker's li",
        "two",
    ]


def test_a_file_that_may_only_be_written_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    sink = FileSink(tmp_path / "a.log")
    with disk_of(2), pytest.raises(OSError, match="File too large"):
        sink.write(b"one\n", lambda: False)
    sink.write(b"two\n", lambda: False)
    assert (tmp_path / "a.log").read_text() == "on\ntwo\n"


def test_a_line_torn_on_its_way_to_a_pipe_ends(tmp_path: Path) -> None:
    file = tmp_path / "stdout"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    sink = StreamSink(descriptor)
    with disk_of(2), pytest.raises(OSError, match="File too large"):
        sink.write(b"one\n", lambda: False)
    sink.write(b"two\n", lambda: False)
    os.close(descriptor)
    assert file.read_text() == "on\ntwo\n"


def test_lines_that_must_be_kept_are_whole_after_a_torn_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "a.log"
    writing = writer(FileSink(file), must_keep=True)
    with disk_of(1):
        writing.add(b"10\n")
        writing.hurry()
        # Until then, the rest of the line could still be written.
        until_sync(lambda: "cannot be written" in caplog.text)
    assert writing.close()
    assert file.read_text() == "1\n10\n"
