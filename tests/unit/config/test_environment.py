"""Variables are settings, unless a cluster has set them to say where its services are."""

import pytest

from gateway.config.loader import ConfigError, load_config
from gateway.config.model import Config

LINKS = {
    "GATEWAY_PORT": "tcp://10.0.0.1:80",
    "GATEWAY_PORT_80_TCP": "tcp://10.0.0.1:80",
    "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
    "GATEWAY_PORT_80_TCP_PORT": "80",
    "GATEWAY_PORT_80_TCP_PROTO": "tcp",
    "GATEWAY_SERVICE_HOST": "10.0.0.1",
    "GATEWAY_SERVICE_PORT": "80",
    "GATEWAY_SERVICE_PORT_HTTP": "80",
    "GATEWAY_ADMIN_SERVICE_HOST": "10.0.0.2",
    "GATEWAY_ADMIN_PORT": "udp://10.0.0.2:53",
}
CONTAINERS = {
    "GATEWAY_NAME": "/web/gateway",
    "GATEWAY_1_NAME": "/shop_web_1/gateway_1",
    "GATEWAY_PORT": "tcp://172.17.0.5:80",
    "GATEWAY_PORT_80_TCP_START": "tcp://172.17.0.5:80",
    "GATEWAY_PORT_80_TCP_END": "tcp://172.17.0.5:89",
    "GATEWAY_PORT_80_TCP_PORT_START": "80",
    "GATEWAY_PORT_80_TCP_PORT_END": "89",
    "GATEWAY_ENV_LANG": "",
    "GATEWAY_ENV_no_proxy": "*",
    "GATEWAY_ENV_GATEWAY_JSON__EMIT_UNSET": "false",
    "GATEWAY_1_ENV_PYTHON_VERSION": "3.11",
}


def test_variables_of_service_links_are_left_alone_with_one_warning() -> None:
    said: list[str] = []
    environment = LINKS | {"GATEWAY_LISTEN": "a:1"}
    assert load_config(None, environment, {}, said.append) == Config(listen="a:1")
    assert len(said) == 1
    assert said[0].startswith(
        "warning: the environment variables GATEWAY_ADMIN_PORT and 9 more are ignored: they have"
    )


def test_variables_of_linked_containers_are_left_alone_with_one_warning() -> None:
    said: list[str] = []
    assert load_config(None, CONTAINERS, {}, said.append) == Config()
    assert len(said) == 1


@pytest.mark.parametrize("name", LINKS | CONTAINERS)
def test_one_such_variable_is_named_in_the_singular(name: str) -> None:
    said: list[str] = []
    value = (LINKS | CONTAINERS)[name]
    assert load_config(None, {name: value}, {}, said.append) == Config()
    [warning] = said
    assert warning.startswith(f"warning: the environment variable {name} is ignored: it has the")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "8080"),
        ("GATEWAY_SERVICE", "x"),
        ("GATEWAY_LIMITS__SERVICE_HOST", "x"),
        ("GATEWAY_NAME", "mine"),
        ("GATEWAY_NAME", "/one"),
        ("GATEWAY_ENV", "production"),
        ("GATEWAY_LOG__ENV_X", "x"),
        ("GATEWAY_PORTS_80_TCP", "tcp://10.0.0.1:80"),
        ("GATEWAY_PORT_80_HTTP", "tcp://10.0.0.1:80"),
    ],
)
def test_what_merely_resembles_one_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        load_config(None, {name: value}, {})


def test_the_variable_that_chooses_the_codec_is_no_setting() -> None:
    said: list[str] = []
    assert load_config(None, {"GATEWAY_CODEC": "python"}, {}, said.append) == Config()
    assert said == []


def test_text_needs_no_quotes_in_the_environment() -> None:
    environment = {"GATEWAY_LISTEN": "[::1]:80", "GATEWAY_AUTH__STORE": "redis://:a #b@h/0"}
    config = load_config(None, environment, {})
    assert config.listen == "[::1]:80"
    assert config.auth.store == "redis://:a #b@h/0"
    assert load_config(None, {"GATEWAY_LISTEN": '"a:1"'}, {}).listen == "a:1"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"GATEWAY_WORKERS": "x"}, "workers: expected a whole number .* such as GATEWAY_WORKERS=1"),
        ({"GATEWAY_SERVICES": "a"}, r"services: expected a list.* GATEWAY_SERVICES='\[library"),
        ({"GATEWAY_POLICIES__0__COST": "1"}, r"policies: expected a list.*GATEWAY_POLICIES='\["),
        ({"GATEWAY_POLICIES": "[{selector: a, cost: x}]"}, r"policies\[0\]\.cost: expected"),
        ({"GATEWAY_LISTEN": "a:1", "GATEWAY_listen": "b:1"}, "sets the same setting"),
        ({"GATEWAY_SERVICES": "*"}, "GATEWAY_SERVICES: is not a YAML value: line 1"),
        ({"GATEWAY_LISTEN": "\udcff"}, "GATEWAY_LISTEN: is not UTF-8"),
        ({"GATEWAY_LISSTEN": "x"}, r"did you mean listen\? \(GATEWAY_LISTEN\)"),
    ],
)
def test_a_bad_variable_is_named(environment: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(None, environment, {})


def test_a_bad_flag_is_worded_as_a_flag() -> None:
    with pytest.raises(ConfigError, match=r"flags: workers: .* such as --workers 1; not -1"):
        load_config(None, {}, {"workers": -1})
