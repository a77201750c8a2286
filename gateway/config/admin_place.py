"""Finds the admin listener in the settings, without the model of all settings.

Commands that speak to a running gateway need two values of the settings. To import the model costs
half a second of processor time, which a probe would spend every few seconds. So this reads the
ordinary form of these values itself, and leaves every other form to the model of the section, and
what is not valid to `load_config`, which words the errors.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.config.yaml_text import Plain, YamlError, core_value, read_yaml

if TYPE_CHECKING:
    from gateway.config.admin import AdminOptions

_SECTION: Final = "admin"
_VARIABLE: Final = re.compile(r"GATEWAY_ADMIN(?:__(.*))?", re.IGNORECASE | re.DOTALL)
_PREFIX: Final = "GATEWAY_"
_ORDINARY: Final = re.compile(r"[A-Za-z/.][A-Za-z0-9/._:-]*|[0-9.]+:[0-9]+")
"""A text that YAML takes as it is, if it is no word such as `null`."""
_DEFAULT_FILE: Final = Path("gateway.yaml")


class ClientFiles(NamedTuple):
    """The files of a client of an admin listener with TLS: PEM, None for none."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class AdminPlace(NamedTuple):
    """The address of the admin listener, and the files that its clients need."""

    listen: str | None
    """None if there is no admin listener."""
    token_file: Path | None = None
    tls: ClientFiles | None = None
    """The files for TLS; None if it speaks plain HTTP."""


def read_admin_place(
    file: Path | None, environment: Mapping[str, str], listen: str | None = None
) -> AdminPlace:
    """Returns the place of the admin listener in the settings, by the rules of `load_config`.

    An address that is known already, `listen`, replaces theirs.

    Errors in other settings are not seen if the section `admin` is valid: the gateway that runs
    has read other settings than those that the file has now, perhaps, and secrets from where an
    operator has none.

    Raises:
        ConfigError: the section is not valid or has no address, and the settings are not valid.
    """
    found = _ordinary(file, environment)
    # Without an address, its name may be misspelled: let the model say so.
    if found is not None and (listen or found.listen):
        return found._replace(listen=listen or found.listen)
    # Only now, because the model is what costs the time.
    from gateway.config.admin import AdminOptions  # noqa: PLC0415
    from gateway.config.loader import ConfigError, load_config, read_section  # noqa: PLC0415

    options = None
    with suppress(ValueError, ConfigError):
        options = AdminOptions.model_validate(read_section(_SECTION, file, environment))
    if options is None or not (listen or options.listen):
        options = load_config(file, environment, {}).admin
    place = place_of(options)
    return place._replace(listen=listen or place.listen)


def place_of(options: "AdminOptions") -> AdminPlace:
    """Returns the place that the settings of the admin listener state."""
    client = options.client
    tls = None if client is None and options.tls is None else ClientFiles()
    if client is not None:
        tls = ClientFiles(client.ca_file, client.cert_file, client.key_file)
    return AdminPlace(options.listen, options.token_file, tls)


def _ordinary(file: Path | None, environment: Mapping[str, str]) -> AdminPlace | None:
    """Returns the place; None if any part of it has a form that only `load_config` knows."""
    values = _of_file(file)
    variables = _of_variables(environment)
    if values is None or variables is None:
        return None
    values |= variables
    listen, token_file = values.pop("listen", None), values.pop("token_file", None)
    if values:
        return None
    return AdminPlace(listen, None if token_file is None else Path(token_file))


def _of_file(file: Path | None) -> dict[str, str] | None:
    if file is None and not _DEFAULT_FILE.exists():
        return {}
    try:
        text = (file or _DEFAULT_FILE).read_text(encoding="utf-8-sig")
        document = read_yaml(text).value
    except (OSError, UnicodeDecodeError, YamlError):
        return None
    section = document.get(_SECTION, {}) if isinstance(document, dict) else None
    if not isinstance(section, dict) or not all(map(_is_text, section.values())):
        return None
    return {str(key): str(value) for key, value in section.items()}


def _is_text(value: object) -> bool:
    """True for text in quotes, and for a plain scalar that is text by YAML's core schema."""
    if isinstance(value, Plain):
        return isinstance(core_value(value), str)
    return isinstance(value, str)


def _of_variables(environment: Mapping[str, str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for name, value in environment.items():
        variable = _VARIABLE.fullmatch(name)
        if variable is None or not name.startswith(_PREFIX):
            continue
        key = (variable[1] or "").lower()
        is_text = _ORDINARY.fullmatch(value) and isinstance(core_value(value), str)
        if not is_text or key in found:
            return None
        found[key] = value
    return found
