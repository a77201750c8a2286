"""A schema that is no longer used is freed: each reload makes another one."""

import gc
import weakref

import pytest

from gateway.config.json import JsonOptions
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.json.native import VARIABLE, native_module
from tests.support import rich


@pytest.mark.parametrize("wish", ["python", "native"])
def test_a_codec_goes_with_the_readers_and_writers_that_it_made(
    wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if wish == "native" and native_module() is None:
        pytest.skip("the native codec is not built: make native")
    monkeypatch.setenv(VARIABLE, wish)
    codec = Codec(rich.pool(), JsonOptions())
    kind = codec.find("rich.Book")
    assert kind is not None
    # As the gateway does it: what is made stays with the codec's own plans, in a circle.
    made = [codec, codec.reader(kind), codec.writer(kind)]
    made.append(made)
    assert codec.writer(kind)(codec.reader(kind)(b'{"title": "Solaris"}'))

    left = weakref.ref(codec)
    del codec, kind, made
    gc.collect()
    assert left() is None
