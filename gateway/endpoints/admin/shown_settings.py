"""The settings as the admin listener shows them: without secrets."""

import re
from typing import Any, Final

from gateway.config.model import Config

HIDDEN: Final = "***"
# RFC 3986 section 3.2.1: user information may have a password, as in redis://user:password@host.
_USER_INFO: Final = re.compile(r"(?<=://)[^/@\s]*@")
_SECRET_NAMES: Final = re.compile(r"(?:secret|password|passphrase|token|credential)s?\Z")
_FREE_FORM: Final = "options"
"""The section of a custom interceptor: only its author knows which values are secrets."""


def shown_settings(config: Config) -> dict[str, Any]:
    """Returns all settings as JSON values; secrets are replaced by `***`."""
    shown: dict[str, Any] = _shown(config.model_dump(mode="json", by_alias=True), is_secret=False)
    return shown


def _shown(value: Any, *, is_secret: bool) -> Any:
    if isinstance(value, dict):
        return {
            key: _shown(below, is_secret=is_secret or _is_secret(key, below))
            for key, below in value.items()
        }
    if isinstance(value, list):
        return [_shown(one, is_secret=is_secret) for one in value]
    if isinstance(value, str):
        return HIDDEN if is_secret else _USER_INFO.sub(f"{HIDDEN}@", value)
    return HIDDEN if is_secret and value is not None and not isinstance(value, bool) else value


def _is_secret(key: str, value: Any) -> bool:
    """True if a value must be hidden: sections such as `auth.tokens` and numbers need not be."""
    is_text = isinstance(value, str | list)
    return key == _FREE_FORM or (is_text and _SECRET_NAMES.search(key.lower()) is not None)
