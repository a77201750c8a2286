"""The part `info` of the document: the name and version of the API."""

import re
from collections.abc import Sequence

from gateway.config.openapi import OpenApiOptions
from gateway.openapi.comments import Json
from gateway.schema.catalog import Method

_VERSION = re.compile(r"v[0-9]+(?:(?:alpha|beta|p)[0-9]*)*", re.ASCII)
_NAMED = 3
"""The limit of packages named in the title."""


def info(options: OpenApiOptions, methods: Sequence[Method], stated: Json) -> Json:
    """Names the API as the settings do, else as `stated` in protos, else by its packages."""
    versions = dict.fromkeys(package.rpartition(".")[2] for package in _packages(methods))
    found = [version for version in versions if _VERSION.fullmatch(version)]
    part: Json = {
        **{word: value for word, value in stated.items() if value},
        "title": title(options, methods, stated),
        "version": options.api_version
        or stated.get("version")
        or (found[0] if len(found) == 1 else "unversioned"),
    }
    if options.description:
        part["description"] = options.description
    if options.terms is not None:
        part["termsOfService"] = options.terms
    for name, given in (("contact", options.contact), ("license", options.license)):
        if given is not None:
            part[name] = given.model_dump(exclude_none=True)
    return part


def title(options: OpenApiOptions, methods: Sequence[Method], stated: Json) -> str:
    """The name of the API."""
    named = _packages(methods)
    rest = " and more" if len(named) > _NAMED else ""
    return (
        options.title or str(stated.get("title") or "") or ", ".join(named[:_NAMED]) + rest or "API"
    )


def _packages(methods: Sequence[Method]) -> Sequence[str]:
    """The packages of the services, in order."""
    packages = dict.fromkeys([method.service.rpartition(".")[0] for method in methods])
    return [package for package in packages if package]
