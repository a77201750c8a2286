"""Asked for by name: that these tests are run against machine code, and not beside it."""

from importlib import import_module

import pytest

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
