"""Paths of field masks: what is read, what is written, and that the one is the other's inverse."""

import pytest
from google.protobuf import any_pb2, field_mask_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.status import Code, StatusError
from gateway.transcoding.field_masks import MAX_PATHS, read_mask, spell_path
from gateway.transcoding.wire import length_delimited
from tests.support import rich

TYPES = "type.googleapis.com"

KEY = st.text(max_size=6)
QUOTED = KEY.map(lambda key: f"`{key.replace('`', '``')}`") | KEY.map(
    lambda key: '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
NAME = st.from_regex(r"[a-z][a-z0-9]{0,3}(_[a-z][a-z0-9]{0,2}){0,2}", fullmatch=True)
STEP = NAME | st.just("*") | st.from_regex(r"[0-9]{1,4}", fullmatch=True) | QUOTED
PATH = st.builds(lambda first, rest: ".".join([first, *rest]), NAME, st.lists(STEP, max_size=3))


@pytest.mark.slow
@given(st.lists(PATH | st.just("*"), max_size=4))
def test_what_is_spelled_is_read_back(paths: list[str]) -> None:
    spelled = [spell_path(path) for path in paths]
    assert None not in spelled
    text = ",".join(map(str, spelled))
    assert read_mask(text, camel_case=True) == paths
    assert read_mask(text) == paths


@given(st.text(alphabet='ab_AB1.,*`"\\ é', max_size=12))
def test_whatever_can_be_received_can_be_sent(text: str) -> None:
    try:
        paths = read_mask(text, camel_case=True)
    except ValueError:
        return
    assert ",".join(str(spell_path(path)) for path in paths) == text


@pytest.mark.parametrize(
    "path", ["field_1", "a__b", "a_", "aB", "a.B", "labels.k-1", "m.é", "", "a..b", "a b", "a.`b"]
)
def test_a_path_that_would_be_read_as_another_has_no_spelling(path: str) -> None:
    assert spell_path(path) is None


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("reviews.*.fullName", "reviews.*.full_name"),
        ("labels.`a,B.c_d`.newName", "labels.`a,B.c_d`.new_name"),
        ('labels."a b"', 'labels."a b"'),
    ],
)
@pytest.mark.parametrize(
    ("body", "holder"),
    [
        ('{{"mask":{}}}', "mask"),
        ('{{"masks":["a",{}]}}', "masks"),
        ('{{"masksBy":{{"k":{}}}}}', "masks_by"),
        ('{{"parts":{{"k":{{"mask":{}}}}}}}', "parts"),
        (f'{{{{"any":{{{{"@type":"{TYPES}/google.protobuf.FieldMask","value":{{}}}}}}}}}}', "any"),
        (f'{{{{"any":{{{{"@type":"{TYPES}/rich.Book","mask":{{}}}}}}}}}}', "any"),
    ],
)
def test_masks_are_the_same_both_ways_wherever_they_are(
    text: str, wire: str, body: str, holder: str
) -> None:
    quoted = '"' + text.replace('"', '\\"') + '"'
    json_body = body.format(quoted)
    found = rich.read(json_body)
    assert wire.encode() in found
    assert rich.write(found) == json_body
    assert holder


def test_they_are_in_a_body_that_is_a_field_and_in_a_reply_that_is_one() -> None:
    field = rich.message("rich.Book").fields_by_name["masks"]
    body = b'["a.`B_c`","x.*.y"]'
    wire = rich.codec().field_reader(field)(body)
    assert rich.codec().field_writer(field)(wire) == body


def test_a_mask_among_floats_and_values_keeps_their_form() -> None:
    body = '{"weight":0.1,"extra":{"n":5},"mask":"a.`5.0`"}'
    wire = rich.read(body)
    assert rich.write(wire).replace('"weight":0.1,', "") == '{"mask":"a.`5.0`","extra":{"n":5}}'


def test_an_unknown_any_is_told_of_as_ever_where_a_mask_is_odd() -> None:
    mask = field_mask_pb2.FieldMask(paths=["a.*.b"])
    broken = any_pb2.Any(type_url="x.com/no.Such", value=b"x")
    wire = length_delimited(41, mask.SerializeToString())
    wire += length_delimited(46, broken.SerializeToString())
    with pytest.raises(StatusError, match="holds the unknown type") as refused:
        rich.codec().writer(rich.message("rich.Book"))(wire)
    assert refused.value.code is Code.INTERNAL


def test_a_mask_that_is_looked_at_path_by_path_has_a_bound() -> None:
    assert len(read_mask(",".join(["a"] * MAX_PATHS))) == MAX_PATHS
    with pytest.raises(ValueError, match="more than 10000 paths"):
        read_mask(",".join(["a"] * (MAX_PATHS + 1)))
    body = '{"mask":"' + ",".join(["a.`b`"] * (MAX_PATHS + 1)) + '"}'
    with pytest.raises(StatusError, match=r"^mask: "):
        rich.read(body)
