"""The certificates as the admin listener shows them: those in the files that the settings name."""

import base64
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from gateway.config.model import Config
from gateway.endpoints.admin.certificate_fields import certificate_fields
from gateway.files import read_file, state_of

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----")
_MOST_IN_A_FILE: Final = 20
"""The most certificates shown of one file: a file of public authorities has over a hundred."""
_MOST_FILES: Final = 100


def shown_certificates(config: Config) -> list[dict[str, Any]]:
    """Returns the certificates as JSON values; a file that cannot be read has an `error` instead.

    It reads files, so call it in a thread. No private key is read.
    """
    shown: list[dict[str, Any]] = []
    for setting, file in islice(_files(config), _MOST_FILES):
        of_file = {"setting": setting, "file": str(file)}
        try:
            shown += [of_file | one for one in _certificates(file)]
        except OSError as error:
            shown.append(of_file | {"error": f"cannot be read: {error.strerror}"})
        except ValueError:
            shown.append(of_file | {"error": "expected certificates as PEM"})
    return shown


def own_certificates(config: Config) -> Iterator[Path]:
    """Yields the files with the gateway's own certificates, not those of authorities."""
    for setting, file in _files(config):
        if setting.endswith(".cert_file"):
            yield file


class Ends:
    """The ends of certificates; a file is read when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[object, float | None]] = {}

    def of(self, file: Path) -> float | None:
        """Returns the time, in seconds since 1970, at which the first certificate of a file ends.

        None if it cannot be read, or has no certificate as PEM.
        """
        state = state_of(file)
        seen, end_s = self._known.get(file, (None, None))
        if seen != state:
            try:
                end_s = _expires_at_s(file)
            except (OSError, ValueError):
                end_s = None
            self._known[file] = state, end_s
        return end_s


def _expires_at_s(file: Path) -> float:
    found = _PEM.findall(read_file(file))[:_MOST_IN_A_FILE]
    if not found:
        raise ValueError
    return min(certificate_fields(base64.b64decode(one)).not_after.timestamp() for one in found)


def _files(config: Config) -> Iterator[tuple[str, Path]]:
    """Yields each setting that names a file of certificates, with the file."""
    if config.tls is not None:
        yield "tls.cert_file", config.tls.cert_file
        if config.tls.client_ca_file is not None:
            yield "tls.client_ca_file", config.tls.client_ca_file
    if config.admin.tls is not None:
        yield "admin.tls.cert_file", config.admin.tls.cert_file
        if config.admin.tls.client_ca_file is not None:
            yield "admin.tls.client_ca_file", config.admin.tls.client_ca_file
    for name, upstream in config.upstreams.items():
        if upstream.tls is None:
            continue
        if upstream.tls.cert_file is not None:
            yield f"upstreams.{name}.tls.cert_file", upstream.tls.cert_file
        if upstream.tls.ca_file is not None:
            yield f"upstreams.{name}.tls.ca_file", upstream.tls.ca_file


def _certificates(file: Path) -> Iterator[dict[str, Any]]:
    """Yields the certificates of a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has something else.
    """
    found = _PEM.findall(read_file(file))
    if not found:
        raise ValueError
    for text in found[:_MOST_IN_A_FILE]:
        fields = certificate_fields(base64.b64decode(text))
        yield {"subject": fields.subject, "not_after": f"{fields.not_after:%Y-%m-%dT%H:%M:%SZ}"}
