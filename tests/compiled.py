"""Asked for by name: that these tests are run against machine code, and not beside it."""

import traceback
from importlib import import_module
from itertools import pairwise

import pytest

from gateway.transcoding.wire import MalformedError, skip
from tests.support.command_line import run
from tests.support.machine_code import alternatives
from tools.machine_code import modules


@pytest.mark.parametrize("name", modules())
def test_a_module_is_machine_code(name: str) -> None:
    module = import_module(name.removesuffix(".py").replace("/", "."))
    assert str(module.__file__).endswith(".so")


def test_the_command_line_says_so() -> None:
    assert run("version").stdout.startswith("0.1.0, as machine code; JSON codec: ")


@pytest.mark.parametrize("name", modules())
def test_no_class_has_less_room_than_its_base(name: str) -> None:
    """A class of machine code whose base has slots is laid out without room for them: a crash."""
    module = import_module(name.removesuffix(".py").replace("/", "."))
    classes = [one for one in vars(module).values() if isinstance(one, type)]
    small = [
        (one, base)
        for one in classes
        for base in one.__mro__[1:]
        if one.__basicsize__ < base.__basicsize__
    ]
    assert small == []


def test_one_alternative_of_the_code_around_it_is_enough() -> None:
    assert list(alternatives("first", "second")) == ["first"]


_PASSED = {
    b"\x0b": ["skip", "_skip_group", "read_tag", "read_varint"],
    b"\x0b\x14": ["skip", "_skip_group"],
    b"\x0a\x05": ["skip", "_skip_one", "read_size"],
}
"""The functions that an error passes, for bytes that are no field."""


def test_a_traceback_names_each_line_that_an_error_passed() -> None:
    for wire, names in 3 * list(_PASSED.items()):  # code objects are made once, and used again
        with pytest.raises(MalformedError) as raised:
            skip(wire, 1, len(wire), wire[0])
        frames = traceback.extract_tb(raised.value.__traceback__)[1:]
        assert [frame.name for frame in frames] == names
        for frame, called in pairwise(frames):
            assert f"{called.name}(" in str(frame.line)
        assert frames[-1].line == "raise MalformedError"
