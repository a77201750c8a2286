"""The place of the admin listener, read without the model, is the one that the model has."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.admin_place import read_admin_place
from gateway.config.loader import ConfigError, load_config

FILES = [
    "",
    "listen: 127.0.0.1:80\n",
    "admin: {listen: 127.0.0.1:9901}\n",
    "admin:\n  listen: unix:/run/admin.sock # private\n  token_file: /run/token\n",
    "admin: {listen: 'unix:/with space'}\n",
    'admin: {listen: "unix:/a\\tb"}\n',
    "admin: {listen: null}\n",
    "admin: {listen: ~, token_file: token}\n",
    "admin: {listen: 9901}\n",
    "admin: {listen: [127.0.0.1:9901]}\n",
    "admin: {lisen: 127.0.0.1:9901}\n",
    "admin: {listen: 0.0.0.0:9901}\n",
    "admin: {listen: off}\n",
    "admin:\n",
    "admin: text\n",
    "- admin\n",
    "admin: {listen: a:1}\nadmin: {listen: b:1}\n",
    "a: &a {listen: 127.0.0.1:1}\nadmin: *a\n",
    "x: &a {listen: 127.0.0.1:1}\nadmin: {<<: *a, token_file: /t}\n",
    "admin: {listen: '127.0.0.1:1', token_file: 0x10}\n",
    "admin: {\n",
]
VARIABLES: list[dict[str, str]] = [
    {},
    {"GATEWAY_ADMIN__LISTEN": "127.0.0.1:7"},
    {"GATEWAY_admin__listen": "unix:/other"},
    {"GATEWAY_ADMIN__LISTEN": "[::1]:7"},
    {"GATEWAY_ADMIN__LISTEN": "'127.0.0.1:7'"},
    {"GATEWAY_ADMIN__LISTEN": " 127.0.0.1:7 "},
    {"GATEWAY_ADMIN__LISTEN": "null"},
    {"GATEWAY_ADMIN__LISTEN": ""},
    {"GATEWAY_ADMIN": "{listen: 127.0.0.1:8}"},
    {"GATEWAY_ADMIN__TOKEN_FILE": "/run/other"},
    {"GATEWAY_ADMIN__LISTEN": "127.0.0.1:7", "GATEWAY_ADMIN__listen": "127.0.0.1:8"},
    {"GATEWAY_ADMIN__NAME": "x"},
    {"GATEWAY_ADMIN_SERVICE_HOST": "10.0.0.1", "GATEWAY_ADMIN__LISTEN": "127.0.0.1:7"},
    {"gateway_admin__listen": "127.0.0.1:7"},
]


@pytest.mark.parametrize(("text", "variables"), list(itertools.product(FILES, VARIABLES)))
def test_the_place_is_the_one_of_the_model(
    tmp_path: Path, text: str, variables: dict[str, str]
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)

    try:
        options = load_config(file, variables, {}).admin
    except ConfigError as error:
        expected: object = str(error)
    else:
        expected = (options.listen, options.token_file, None)
    try:
        found: object = read_admin_place(file, variables)
    except ConfigError as error:
        found = str(error)
    if isinstance(expected, str) and not isinstance(found, str):
        # Only an error of another section, or of an address that none may use, can be overlooked.
        overlooked = text.startswith(("a: ", "x: "))
        assert overlooked or "is open to other machines" in expected
        return
    assert found == expected


def test_a_mistake_in_another_section_does_not_hide_the_gateway(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("admin: {listen: unix:/run/admin.sock}\nlimits: {no_such: 1}\n")

    assert read_admin_place(file, {}) == ("unix:/run/admin.sock", None, None)


def test_a_secret_that_only_the_gateway_can_read_does_not_hide_it(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "admin: {listen: unix:/run/admin.sock, debug: true, ready_requires: [store]}\n"
        "auth: {store: 'env:NOT_IN_THE_SHELL_OF_AN_OPERATOR'}\n"
    )

    assert read_admin_place(file, {}) == ("unix:/run/admin.sock", None, None)


def test_the_ordinary_form_needs_no_model(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("admin: {listen: unix:/run/admin.sock}\n")
    code = (
        "import sys; from pathlib import Path\n"
        "from gateway.config.admin_place import read_admin_place\n"
        f"print(read_admin_place(Path({str(file)!r}), {{}}).listen)\n"
        "print(sorted({'pydantic', 'gateway.config.model'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.split("\n")[:2] == ["unix:/run/admin.sock", "[]"]
