"""One grammar for every setting that selects methods or services."""

import pytest

from gateway.config.selectors import (
    SelectorError,
    check_selector,
    complaint,
    matches,
    matches_service,
)

METHODS = ["lib.v1.Library.Get", "lib.v1.Library.List", "lib.v1.Loans.Get", "lib.v10.Library.Get"]
SERVICES = ["lib.v1.Library", "lib.v1.Loans", "lib.v10.Library"]


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("*", METHODS),
        ("lib.*", METHODS),
        ("lib.v1.*", METHODS[:3]),
        ("lib.v1.Library.*", METHODS[:2]),
        ("lib.v1.Library.Get", METHODS[:1]),
        ("lib.v1", []),
        ("lib.v1.Library", []),
        ("lib.v1.Lib*", []),
        ("lib.v1.Lib.*", []),
        ("*.Get", []),
        ("lib.*.Library.*", []),
        (".*", []),
        ("**", []),
        ("", []),
    ],
)
def test_a_selector_selects_whole_parts_of_names(selector: str, selected: list[str]) -> None:
    assert [name for name in METHODS if matches(selector, name)] == selected
    assert (complaint(selector, METHODS) is None) == bool(selected)


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("*", SERVICES),
        ("lib.v1.*", SERVICES[:2]),
        ("lib.v1.Library", SERVICES[:1]),
        ("lib.v1.Library.*", SERVICES[:1]),
        ("lib.v1", []),
        ("lib.v1.Lib*", []),
        ("lib.v1.Lib.*", []),
        ("lib.v1.Library.Get", []),
        (".*", []),
        ("", []),
    ],
)
def test_a_service_is_selected_with_all_its_methods(selector: str, selected: list[str]) -> None:
    assert [name for name in SERVICES if matches_service(selector, name)] == selected
    assert (complaint(selector, SERVICES, kind="service") is None) == bool(selected)


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ("lib.v1.Library.Gett", "no method is called lib.v1.Library.Gett; available: lib.v1.Lib"),
        ("lib.v1.Library", "no method is called lib.v1.Library; available: lib.v1.Library.*"),
        ("lib.v1", "available: lib.v1.*"),
        ("lib.v1.Librari.*", "available: lib.v1.Library.*"),
        ("zzz.*", "no method is called zzz.*; available: lib.v1.Library.Get, lib.v1.Library.List"),
        ("lib.v1.Lib*", "or *; for example lib.v1.Library.*"),
        ("lib.v1.Library*", "or *; for example lib.v1.Library.*"),
        ("lib*", "or *; for example lib.*"),
        ("/lib.v1.Library/Get", "or *; for example lib.v1.Library.Get"),
        (" lib.v1.Loans.Get", "or *; for example lib.v1.Loans.Get"),
        ("**", "or *; for example *"),
        ("", "no method is called '': write a full name, a package or service followed"),
    ],
)
def test_what_selects_nothing_is_told_with_what_would(selector: str, says: str) -> None:
    with pytest.raises(SelectorError) as raised:
        check_selector("here", selector, METHODS)
    assert str(raised.value).startswith("here: no method is called")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_where_there_is_nothing_every_selector_is_refused() -> None:
    assert complaint("*", []) == "no method is called *; available: none"


def test_the_nearest_service_is_named() -> None:
    said = complaint("lib.v1.Lone", SERVICES, kind="service")
    assert said is not None
    assert said.startswith("no service is called lib.v1.Lone; available: lib.v1.Loans")
    said = complaint("lib.v1.Lib*", SERVICES, kind="service")
    assert said is not None
    assert said.endswith("for example lib.v1.Library")
