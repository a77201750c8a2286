"""Examines the files of certificates, keys and tokens."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from gateway.cli.doctor.finding import Finding, fail, ok, warn
from gateway.config.model import Config
from gateway.endpoints.admin.certificates import shown_certificates

_SOON: Final = timedelta(days=14)
_SECRET_NAMES: Final = ("key_file", "token_file")
"""The ends of the names of settings whose files must stay secret."""
_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def examine_secrets(config: Config) -> Iterator[Finding]:
    """Yields the findings about the files that settings name; it reads no key."""
    for one in shown_certificates(config):
        yield _certificate(one, datetime.now(UTC))
    for setting, file in _secret_files(config, ""):
        yield _mode(setting, file)


def _certificate(shown: dict[str, Any], now: datetime) -> Finding:
    subject = f"certificate {shown['setting']}"
    if "error" in shown:
        return fail(subject, f"{shown['file']}: {shown['error']}", "give a file that can be read")
    until = datetime.fromisoformat(shown["not_after"])
    text = (
        f"{shown['file']}: {shown['subject'] or 'without a name'} ends {until:%Y-%m-%d %H:%M} UTC"
    )
    renew = "put a new certificate in its place; the gateway reads it by itself"
    if until <= now:
        return fail(subject, text.replace(" ends ", " ended "), renew)
    return warn(subject, text, renew) if until - now < _SOON else ok(subject, text)


def _mode(setting: str, file: Path) -> Finding:
    subject = f"file {setting}"
    try:
        mode = file.stat().st_mode
    except OSError as error:
        return fail(
            subject, f"{file}: cannot be read: {error.strerror}", "create it, or correct it"
        )
    if mode & _FOR_OTHERS:
        shown = f"{stat.S_IMODE(mode):04o}"
        return warn(subject, f"{file}: others may use it (mode {shown})", f"chmod 600 {file}")
    return ok(subject, f"{file}: only its owner may use it")


def _secret_files(value: object, path: str) -> Iterator[tuple[str, Path]]:
    """Yields each setting below a value that names a secret file, with the file."""
    if isinstance(value, BaseModel):
        inner = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, tuple):
        inner = [(str(number), one) for number, one in enumerate(value)]
    else:
        inner = []
        if isinstance(value, Path) and path.endswith(_SECRET_NAMES):
            yield path, value
    for name, one in inner:
        yield from _secret_files(one, f"{path}.{name}" if path else str(name))
