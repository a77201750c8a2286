"""Loads settings from a YAML file, then the environment, then flags: the later one counts.

Before all of them come the variables of OpenTelemetry, as defaults of `tracing`.

An environment variable names a setting by its path, in capitals, two underscores for a dot:
`GATEWAY_JSON__EMIT_UNSET=false`. Its value is read as YAML, so lists and maps can be written too.
Foreign variables that look alike are recognised.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.config.kinds import TOP, converted, find, keys
from gateway.config.merging import merge
from gateway.config.model import Config, StartUpError
from gateway.config.opentelemetry import read_opentelemetry
from gateway.config.origins import origins
from gateway.config.secret_sources import secret_files
from gateway.config.watched import states_of, watched_files
from gateway.config.wording import ENVIRONMENT, FLAGS, PREFIX, Layer, error_lines
from gateway.config.yaml_text import Plain, Steps, YamlError, core_value, read_yaml

__all__ = ["Config"]
__all__ += ["DEFAULT_FILE", "ConfigError", "Say", "Settings", "VariableError", "is_service_link"]
__all__ += ["load_config", "read_section", "read_variables", "service_links"]

# Variables that Kubernetes sets for a service whose name begins with `gateway`
# (kubernetes.io/docs/concepts/services-networking/service, "Environment variables").
_OTHER = r"(?:[A-Z0-9_.]+_)?"
_SERVICE = re.compile(rf"{_OTHER}SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)")
# Variables that Kubernetes and Docker set for each port, and for the first one.
_PORT = re.compile(
    rf"{_OTHER}PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|ADDR|(?:PORT_)?(?:START|END)|PORT))?"
)
_FIRST_PORT = re.compile(rf"{_OTHER}PORT")
_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://.*", re.DOTALL)
# Variables that Docker sets beside them for a linked container: its name and alias, and its own
# variables (docs.docker.com/engine/network/links, "Environment variables").
_NAME = re.compile(rf"{_OTHER}NAME")
_NAME_AND_ALIAS = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9_.-]*){2}")
_VARIABLE = re.compile(rf"{_OTHER}ENV_.+", re.DOTALL)
_NOT_SETTINGS = ("GATEWAY_CODEC",)
"""Variables that choose what is needed before there are settings."""


class VariableError(StartUpError):
    """A variable is not a valid setting; the text says which one, and why."""


def read_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns the settings in the variables.

    Raises:
        VariableError: a value is not YAML, or two variables contradict each other.
    """
    settings: dict[str, Any] = {}
    set_by: dict[Steps, str] = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        if is_service_link(name, environment[name]):
            continue
        *parents, leaf = steps = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if steps in set_by:
            raise VariableError(f"{name}: {set_by[steps]} sets the same setting: keep one of them")
        set_by[steps] = name
        section = settings
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise VariableError(f"{name}: {parent} is set as a whole by another variable")
        section[leaf] = _value(name, environment[name], steps)
    return settings


def service_links(environment: Mapping[str, str]) -> Iterator[str]:
    """The variables that describe other services or containers, and are not settings."""
    return (name for name in sorted(environment) if is_service_link(name, environment[name]))


def is_service_link(name: str, value: str) -> bool:
    """True if Kubernetes or Docker set a variable to describe a service or a linked container."""
    rest = name.removeprefix(PREFIX)
    if rest == name or rest.lower().partition("__")[0] in keys(Config):
        return False
    if any(form.fullmatch(rest) for form in (_SERVICE, _PORT, _VARIABLE)):
        return True
    if _FIRST_PORT.fullmatch(rest):
        return bool(_ADDRESS.fullmatch(value))
    return bool(_NAME.fullmatch(rest) and _NAME_AND_ALIAS.fullmatch(value))


def _value(name: str, text: str, steps: Steps) -> object:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise VariableError(f"{name}: is not UTF-8 text") from None
    takes_text = find(steps).steps == steps and find(steps).kind.takes_text_alone
    try:
        value = read_yaml(text).value
    except YamlError as error:
        if takes_text:
            return text
        raise VariableError(f"{name}: is not a YAML value: {error}") from None
    # Keep the raw text: [::1]:80 is not a list here, and # does not begin a comment.
    is_null = value is None or (isinstance(value, Plain) and core_value(value) is None)
    if takes_text and not is_null and (isinstance(value, Plain) or not isinstance(value, str)):
        return Plain(text.strip())
    return value


DEFAULT_FILE = Path("gateway.yaml")
_OPENTELEMETRY = "the variables OTEL_*"

Settings = dict[str, Any]
Say = Callable[[str], None]
"""Prints a line for people."""


class ConfigError(StartUpError):
    """The configuration is not valid; the text has one line per reason."""


def load_config(
    file: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, Any],
    say: Say = lambda _: None,
) -> Config:
    """Loads the settings from `file` (or gateway.yaml if it exists), environment and flags.

    `say` gets a warning about variables that look like settings but are not.

    Raises:
        ConfigError: a key is unknown, a value is not of its type, or the file cannot be read.
    """
    file = _existing(file)
    states = states_of([] if file is None else [file])
    layers = _read_layers(file, environment, flags, say)
    settings = _merged(layers)
    try:
        values = converted(TOP, settings)
        secrets = list(secret_files(values))
        states |= states_of(secrets)
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(error_lines(layers, error))) from None
    states |= states_of(watched_files(config))
    return config.with_origins(origins(layers, settings), file, secrets, states)


def read_section(name: str, file: Path | None, environment: Mapping[str, str]) -> object:
    """Returns one section as its model takes it; no secret of another section is read.

    Raises:
        ConfigError: the file or a variable cannot be read.
    """
    settings = _merged(_read_layers(_existing(file), environment, {}, lambda _: None))
    return converted(find((name,)).kind, settings.get(name, {}))


def _existing(file: Path | None) -> Path | None:
    return file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)


def _read_layers(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any], say: Say
) -> list[Layer]:
    """Reads the settings of each source; a later layer counts before those in front of it."""
    layers = [Layer(_OPENTELEMETRY, read_opentelemetry(environment, say))]
    layers += [] if file is None else [_read_file(file)]
    return [*layers, _read_environment(environment, say), Layer(FLAGS, flags)]


def _merged(layers: Sequence[Layer]) -> Settings:
    settings: Settings = {}
    for layer in layers:
        settings = merge(settings, layer.values)
    return settings


def _read_file(file: Path) -> Layer:
    try:
        document = read_yaml(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text") from None
    except YamlError as error:
        what = "is not YAML: " if error.syntax else ""
        raise ConfigError(f"{file}: {what}{error}") from None
    if document.value is None:
        return Layer(str(file), {})
    if not isinstance(document.value, dict):
        raise ConfigError(f"{file}: expected settings by name at the top level")
    return Layer(str(file), document.value, document.places)


def _read_environment(environment: Mapping[str, str], say: Say) -> Layer:
    links = list(service_links(environment))
    if links:
        is_one = len(links) == 1
        named = links[0] if is_one else f"{links[0]} and {len(links) - 1} more"
        say(
            f"warning: the environment variable{'' if is_one else 's'} {named} "
            f"{'is' if is_one else 'are'} ignored: {'it has' if is_one else 'they have'} the form "
            "in which Kubernetes and Docker describe services, and no setting"
        )
    try:
        return Layer(ENVIRONMENT, read_variables(environment))
    except VariableError as error:
        raise ConfigError(str(error)) from None
