"""The tags of operations: one for each service, or those that annotations name instead."""

from collections.abc import Iterable
from typing import Any

from gateway.openapi.comments import Json, Texts
from gateway.schema.catalog import Method


class Tags:
    """The tags of a document, in the order in which operations use them."""

    def __init__(self, texts: Texts, stated: Iterable[Json]) -> None:
        """`stated` are the tags that annotations of whole files describe."""
        self._texts = texts
        self._stated = {str(tag.get("name", "")): tag for tag in stated}
        self._found: dict[str, Json] = {}
        self._packages: dict[str, dict[str, None]] = {}

    def of(self, method: Method, words: Json) -> list[str]:
        """The tags of an operation of a method with these annotations."""
        stated: Any = words.get("tags")
        names = [str(name) for name in stated] if stated else [self._of_service(method.service)]
        package = method.service.rpartition(".")[0]
        for name in names:
            self._found.setdefault(name, {"name": name, **self._stated.get(name, {})})
            self._packages.setdefault(package, {})[name] = None
        return names

    def _of_service(self, service: str) -> str:
        words = self._texts.annotation(service)
        name = str(words.get("name") or service)
        if name not in self._found:
            tag: Json = {"name": name, **self._stated.get(name, {})}
            tag |= {word: value for word, value in words.items() if word != "name"}
            self._found[name] = self._texts.describe(tag, service)
        return name

    def listed(self) -> list[Json]:
        """The tags, each once."""
        return list(self._found.values())

    def groups(self) -> list[Json]:
        """The tags by the package of their services (`x-tagGroups`), if there are several."""
        if len(self._packages) < 2:
            return []
        seen: set[str] = set()
        found: list[Json] = []
        for package, names in self._packages.items():
            new = [name for name in names if name not in seen]
            seen.update(new)
            if new:
                found.append({"name": package or "API", "tags": new})
        return found
