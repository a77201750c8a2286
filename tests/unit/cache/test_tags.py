"""Tags in the metadata of replies."""

import pytest

from gateway.cache.tags import are_few_and_short, dropped_tags, tags_of_reply


@pytest.mark.parametrize(
    ("metadata", "tags"),
    [
        ([("cache-groups", '"a", "b c"')], {"a", "b c"}),
        ([("cache-groups", '"a"'), ("cache-groups", '"b"')], {"a", "b"}),
        ([("cache-groups", r'"a\"b\\c"')], {'a"b\\c'}),
        ([("cache-groups", '"a";x=1;y, "b"')], {"a", "b"}),
        ([("surrogate-key", "a  b")], {"a", "b"}),
        ([("surrogate-key", "a"), ("cache-groups", '"b"')], {"a", "b"}),
        ([("cache-groups", "a, b")], set()),
        ([("cache-groups", '"a", b')], set()),
        ([("cache-groups", '"a",')], set()),
        ([("cache-groups", '"a" "b"')], set()),
        ([("cache-groups", '"a')], set()),
        ([("cache-groups", '"a", ' * 4000 + '"b"')], set()),
        ([("cache-group-invalidation", '"a"')], set()),
    ],
    ids=lambda value: repr(sorted(value))[:60],
)
def test_tags_are_lists_of_strings_or_of_words(
    metadata: list[tuple[str, str | bytes]], tags: set[str]
) -> None:
    assert tags_of_reply(metadata) == tags


def test_only_their_own_field_drops_tags() -> None:
    metadata = [("cache-group-invalidation", '"a"'), ("cache-groups", '"b"')]
    assert dropped_tags(metadata) == {"a"}


def test_a_list_of_a_thousand_tags_is_read() -> None:
    text = ", ".join(f'"t{n}"' for n in range(1000))
    assert len(tags_of_reply([("cache-groups", text)])) == 1000


def test_replies_have_at_most_64_tags_of_128_bytes() -> None:
    assert are_few_and_short(frozenset(f"t{n}" for n in range(64)))
    assert not are_few_and_short(frozenset(f"t{n}" for n in range(65)))
    assert are_few_and_short(frozenset(["x" * 128]))
    assert not are_few_and_short(frozenset(["\xe9" * 65]))
