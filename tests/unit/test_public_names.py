"""The public interface: what `import gateway` offers, and what it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import gateway

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.parametrize("name", gateway.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(gateway, name).__name__ == name or name == "Handler"
    assert f"| `{name}" in PAGE.read_text()


def test_no_other_name_is_offered() -> None:
    assert dir(gateway) == sorted(gateway.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Gateway'"):
        gateway.__getattr__("Gateway")


@pytest.mark.slow
def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, gateway; print([name for name in sys.modules if 'gateway.' in name])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
