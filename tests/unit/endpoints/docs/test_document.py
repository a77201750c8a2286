"""Documents are made once; requests for parts do not push out the whole one."""

from gateway.endpoints.docs.document import Known, Rights, Selection, document_endpoints
from gateway.http.header_fields import NO_FIELDS
from gateway.http.messages import Request

SERVICES = [f"a.v1.S{number}" for number in range(40)]


async def test_requests_for_many_parts_leave_the_whole_document_made() -> None:
    made: list[Selection] = []

    def build(rights: Rights, selection: Selection) -> dict[str, object]:
        assert rights is None
        made.append(selection)
        return {"of": list(selection)}

    endpoints = document_endpoints("/openapi", build, 0, Known(["3.1", "3.2"], SERVICES, []))
    answer = endpoints["/openapi.json"]["GET"]

    async def read(query: str = "") -> bytes:
        target = f"/openapi.json{query}"
        body = (await answer(Request("GET", target, NO_FIELDS, "10.0.0.1"))).body
        assert isinstance(body, bytes)
        return body

    whole = [await read(), await read("?version=3.2")]
    for service in SERVICES:
        assert service.encode() in await read(f"?service={service}")
    assert [await read(), await read("?version=3.2")] == whole
    assert sum(not one.is_part for one in made) == 2
    assert sum(one.is_part for one in made) == len(SERVICES)
