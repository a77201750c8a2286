"""The watch of files, with real files and a short interval."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.loader import load_config
from gateway.config.watched import watched_files
from gateway.process.file_watch import FileWatch
from tests.support.polling import until

EVERY_S = 0.02


class Watched:
    """A settings file, a descriptor set, and how often they have changed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.settings = place / "gateway.yaml"
        self.descriptors = place / "api.binpb"
        self.descriptors.write_bytes(b"first")
        self.settings.write_text(f"descriptors: [{self.descriptors}]\n")
        self.config = load_config(self.settings, {}, {})
        self.changes = 0
        self.start()

    def start(self) -> None:
        self.watch = FileWatch(lambda: self.config, self._changed, EVERY_S)

    def _changed(self) -> None:
        self.changes += 1

    async def has_changed(self, times: int) -> None:
        await until(lambda: self.changes >= times)
        await self.stays(times)

    async def stays(self, times: int) -> None:
        await asyncio.sleep(EVERY_S * 10)  # nothing tells that nothing happens
        assert self.changes == times


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    one = Watched(tmp_path)
    yield one
    one.watch.stop()


async def test_a_change_of_any_file_is_told_once(watched: Watched) -> None:
    watched.descriptors.write_bytes(b"second")
    await watched.has_changed(1)
    watched.settings.write_text(watched.settings.read_text() + "workers: 2\n")
    await watched.has_changed(2)


async def test_a_change_between_reading_the_settings_and_the_watch_is_told(
    watched: Watched,
) -> None:
    watched.watch.stop()
    secret = watched.place / "secret"
    secret.write_text("memory:")
    watched.config = load_config(watched.settings, {}, {"auth": {"store": f"file:{secret}"}})
    for times, file in enumerate((watched.settings, watched.descriptors, secret), 1):
        file.write_bytes(file.read_bytes() + b" # a start takes a while")
        watched.start()
        await watched.has_changed(times)
        watched.watch.stop()
        watched.config = load_config(watched.settings, {}, {"auth": {"store": f"file:{secret}"}})


async def test_the_same_content_is_no_change(watched: Watched) -> None:
    watched.descriptors.write_bytes(b"first")
    os.utime(watched.settings)
    await watched.stays(0)


async def test_a_missing_file_is_waited_for(watched: Watched) -> None:
    watched.descriptors.unlink()
    await watched.stays(0)
    watched.descriptors.write_bytes(b"second")
    await watched.has_changed(1)


async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    # As Kubernetes replaces a ConfigMap: file -> ..data/file, ..data -> a new folder.
    for name, workers in {"one": 1, "two": 2}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.yaml").write_text(f"workers: {workers}\n")
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "gateway.yaml").symlink_to("..data/gateway.yaml")
    config = load_config(tmp_path / "gateway.yaml", {}, {})
    changes: list[int] = []
    watch = FileWatch(lambda: config, lambda: changes.append(1), EVERY_S)
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").replace(tmp_path / "..data")
    await until(lambda: changes)
    watch.stop()


async def test_files_that_new_settings_name_are_watched_from_then_on(watched: Watched) -> None:
    more = watched.place / "more.binpb"
    more.write_bytes(b"more")
    watched.config = load_config(
        watched.settings, {}, {"descriptors": [str(watched.descriptors), str(more)]}
    )
    await watched.stays(0)
    more.write_bytes(b"most")
    await watched.has_changed(1)


async def test_nothing_is_told_after_the_end(watched: Watched) -> None:
    watched.watch.stop()
    watched.descriptors.write_bytes(b"second")
    await watched.stays(0)


def test_the_files_that_only_a_reload_reads_again(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        "descriptors: [a.binpb]\nservice_config: [b.yaml]\n"
        "upstreams: {x: {target: 'h:1', tls: {ca_file: c, cert_file: d, key_file: e},"
        " grpc_service_config: f}}\n"
        "auth: {store: 'memory:', identity: {jwt: {key: g}}}\n"
    )
    found = [str(one) for one in watched_files(load_config(file, {}, {}))]
    assert found == [str(file), "a.binpb", "b.yaml", "g", "f", "c", "d", "e"]
    assert list(watched_files(load_config(None, {"GATEWAY_WORKERS": "2"}, {}))) == []
