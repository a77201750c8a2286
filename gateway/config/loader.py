"""Loads settings from a YAML file, then the environment, then flags: the later one counts.

Before all of them come the variables of OpenTelemetry, as defaults of `tracing`.

An environment variable names a setting by its path, in capitals, two underscores for a dot:
`GATEWAY_JSON__EMIT_UNSET=false`. Its value is read as YAML, so lists and maps can be written too.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.config.environment import VariableError, read_variables, service_links
from gateway.config.kinds import TOP, converted
from gateway.config.merging import merge
from gateway.config.model import Config
from gateway.config.opentelemetry import read_opentelemetry
from gateway.config.origins import origins
from gateway.config.secret_sources import secret_files
from gateway.config.wording import ENVIRONMENT, FLAGS, Layer, error_lines
from gateway.config.yaml_text import YamlError, read_yaml
from gateway.status import StartUpError

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
    file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    layers = [Layer(_OPENTELEMETRY, read_opentelemetry(environment, say))]
    layers += [] if file is None else [_read_file(file)]
    layers += [_read_environment(environment, say), Layer(FLAGS, flags)]
    settings: Settings = {}
    for layer in layers:
        settings = merge(settings, layer.values)
    try:
        values = converted(TOP, settings)
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(error_lines(layers, error))) from None
    return config.with_origins(origins(layers, settings), file, secret_files(values))


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
