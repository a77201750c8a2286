"""Asked for by name: that these tests are run against machine code, and not beside it."""

from importlib import import_module

import pytest

from tests.support.command_line import run
from tools.machine_code import modules


@pytest.mark.parametrize("name", modules())
def test_a_module_is_machine_code(name: str) -> None:
    module = import_module(name.removesuffix(".py").replace("/", "."))
    assert str(module.__file__).endswith(".so")


def test_the_command_line_says_so() -> None:
    assert run("version").stdout.startswith("0.1.0, as machine code; JSON codec: ")
