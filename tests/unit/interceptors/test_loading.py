"""Interceptors named in settings: found and made, or refused with the setting that is at fault."""

import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.config.extensions import InterceptorOptions
from gateway.interceptors.loading import InterceptorError, SelectedInterceptor, load_interceptors
from tests.support.front_end import schema

MODULE = """
import asyncio

class Plain:
    def __init__(self, word="none"):
        self.word = word
    async def __call__(self, call, proceed):
        return await proceed(call)

class Pool:
    events = []
    async def __aenter__(self):
        self.events.append("entered")
        return Plain("pooled")
    async def __aexit__(self, *_):
        self.events.append("left")

class Broken:
    def __init__(self):
        raise RuntimeError("no licence")

class Mute:
    pass

class Narrow:
    async def __call__(self, call):
        return None

NUMBER = 7
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_bad.py").write_text("import no_such_library_anywhere")
    (tmp_path / f"{name}_worse.py").write_text("1 / 0")
    (tmp_path / f"{name}_exits.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


async def load(**options: Any) -> SelectedInterceptor:
    settings = [InterceptorOptions.model_validate(options)]
    async with AsyncExitStack() as stack:
        (own,) = await load_interceptors(settings, schema().methods.values(), stack)
        return own


async def test_a_class_is_made_with_its_options(own_module: str) -> None:
    own: Any = await load(use=f"{own_module}:Plain", options={"word": "yes"})
    assert own.interceptor.word == "yes"
    assert all(own.stands_before(method) for method in schema().methods.values())


async def test_it_stands_before_the_methods_it_selects(own_module: str) -> None:
    own = await load(use=f"{own_module}:Plain", selector="front.v1.Front.GetItem")
    chosen = {m.name for m in schema().methods.values() if own.stands_before(m)}
    assert chosen == {"GetItem"}


async def test_what_can_be_entered_is_entered_and_left(own_module: str) -> None:
    own: Any = await load(use=f"{own_module}:Pool")
    assert own.interceptor.word == "pooled"
    assert sys.modules[own_module].Pool.events == ["entered", "left"]


async def test_an_installed_package_offers_one_by_name(own_module: str, tmp_path: Path) -> None:
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[gateway.interceptors]\nown-tenants = {own_module}:Plain\n"
    )
    own: Any = await load(use="own-tenants", options={"word": "offered"})
    assert own.interceptor.word == "offered"
    with pytest.raises(InterceptorError, match=r"called nobody \(available: .*own-tenants"):
        await load(use="nobody")


@pytest.mark.parametrize(
    ("use", "more", "says"),
    [
        ("no_such_module_here:Plain", {}, r"use: there is no module no_such_module_here: is it in"),
        ("{own}_bad:Plain", {}, r"use: .*_bad needs no_such_library_anywhere"),
        ("{own}_worse:Plain", {}, r"cannot be imported: ZeroDivisionError"),
        ("{own}_exits:Plain", {}, r"cannot be imported: SystemExit"),
        ("{own}:Nobody", {}, r"use: own_\w+ has no Nobody"),
        ("{own}:NUMBER", {}, r"use: own_\w+:NUMBER is no class"),
        ("{own}:Plain", {"options": {"wrod": 1}}, r"options: .* does not take these: .*wrod"),
        ("{own}:Broken", {}, r"cannot be made: RuntimeError: no licence"),
        ("{own}:Mute", {}, r"cannot be called: give it async __call__\(call, proceed\)"),
        ("{own}:Narrow", {}, r"must take two arguments: \(call, proceed\)"),
        ("{own}:Plain", {"selector": "front.v1.Nobody.*"}, r"selector: no method is called"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_its_setting(
    own_module: str, use: str, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(InterceptorError, match=rf"interceptors\[0\].*{says}"):
        await load(use=use.format(own=own_module), **more)
