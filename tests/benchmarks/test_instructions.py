"""The requests whose instructions are counted."""

from itertools import islice

import pytest

from benchmarks.instructions import FORMS, requests_of


@pytest.mark.parametrize("form", FORMS)
def test_the_requests_of_a_form_are_the_same_in_each_run(form: str) -> None:
    assert [*islice(requests_of(form), 50)] == [*islice(requests_of(form), 50)]


@pytest.mark.parametrize("form", FORMS)
def test_only_the_forms_for_it_repeat_a_request(form: str) -> None:
    made = [*islice(requests_of(form), 50)]
    ids = {one.headers["X-Request-Id"] for one in made}
    traces = {one.headers["traceparent"] for one in made}
    assert len(ids) == len(traces) == (1 if form in {"same", "hit"} else 50)
    assert {bool(one.body) for one in made} == {form in {"post", "patch"}}
