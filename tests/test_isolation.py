"""What is another user's is answered as if it did not exist: every route and every RPC that there is, walked.

A new route, or RPC, has a row here or fails: nobody can forget to think about whose things it shows.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import APIRoute
from google.protobuf.message import Message
from grpc import aio
from starlette.routing import BaseRoute, Mount, Route

from tests.protocols.asgi import cut_request
from tests.test_access import TUS, Door, bearer, door
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb

NOBODY_S = "5f0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# By which names a path has the id of an upload or file.
IDS = {"id", "file_id", "upload_id"}

# What shows nothing of anybody.
PUBLIC = {
    "/healthz",
    "/readyz",
    "/",
    "/web/{digest}/{name:path}",
    "/docs",
    "/docs/{digest}/{name:path}",
    "/openapi.json",
    "/session",
}
# What shows the caller's own, whomever it names.
LISTS = {"/api/v1/files", "/api/v1/uploads", "/api/v1/stats/deletions", "/api/v1/events"}
# What has ids elsewhere than in its path: each way to name one.
PART = {
    "Content-Type": "application/offset+octet-stream",
    "Upload-Offset": "3",
    "Upload-Length": "6",
    "Upload-Name": "a",
}
QUERIES: dict[str, list[tuple[str, str, dict[str, str], str]]] = {
    "/files": [("POST", "", {**TUS, "Upload-Concat": "final;/files/ID"}, "")],
    "/api/v1/tokens": [("POST", "", {"Content-Type": "application/json"}, '{"upload_id": "ID"}')],
    "/filepond": [
        *((method, f"?{name}=ID", {}, "") for name in ("restore", "load", "id") for method in ("GET", "HEAD")),
        ("HEAD", "?patch=ID", {}, ""),
        *(("PATCH", f"?{name}=ID", PART, "abc") for name in ("patch", "id")),
        ("POST", "?id=ID", {}, ""),
        ("DELETE", "?id=ID", {}, ""),
        ("DELETE", "", {}, "ID"),
    ],
}
# As which protocol a path is asked.
CHUNK = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "3"}
SPOKEN: Mapping[str, Sequence[dict[str, str]]] = {
    "/files/{id}": [
        {},
        {**TUS, **CHUNK},
        {**TUS, **CHUNK, "X-HTTP-Method-Override": "PATCH"},
        {**TUS, "X-HTTP-Method-Override": "DELETE"},
        {"Content-Type": "application/partial-upload", "Upload-Offset": "3", "Upload-Complete": "?1"},
    ]
}
# Of an answer, these tell one request from the next, and nothing of what it is about.
PASSING = {"date", "x-request-id"}


def walked(app: object) -> Iterator[Route]:
    """Every route that an application serves, whatever is around it and below which mount it is."""
    while not hasattr(app, "routes"):
        inside = vars(app)
        app = inside.get("app") or inside["_app"]
    yield from (one for route in app.routes for one in plain(route))


def plain(route: BaseRoute) -> Iterator[Route]:
    if isinstance(route, Mount):
        yield from walked(route.app)
    elif isinstance(route, Route | APIRoute):
        yield route
    elif hasattr(route, "original_router"):  # FastAPI's, of a router that was included
        yield from (one for inner in route.original_router.routes for one in plain(inner))
    elif hasattr(route, "_route"):  # one of two protocols at an address
        yield from plain(route._route)
    else:
        assert type(route).__name__ == "WholeServer", f"{route}: where are its routes?"


@dataclass
class Ann:
    """Everything of hers that can be tried, by what it is."""

    door: Door
    who: dict[str, str]
    ids: dict[str, str]

    async def state(self) -> str:
        """All that she has, and all that ever happened to it."""
        ask = self.door.http.get
        said = [await ask(path, headers=self.who) for path in ("/api/v1/files", "/api/v1/files?deleted=true")]
        said += [await ask(f"/api/v1/files/{one}/audit", headers=self.who) for one in self.ids.values()]
        said += [await ask(f"/api/v1/uploads/{self.ids['upload']}", headers=self.who)]
        return re.sub(r'"expires_at":"[^"]*"', "", "\n".join(answer.text for answer in said))


@pytest.fixture
async def ann(tmp_path: Any) -> AsyncIterator[Ann]:
    async with door(tmp_path, "required") as closed:
        who = bearer(await closed.key("ann"))
        ids = {name: await stored(closed, who, name) for name in ("file", "trashed")}
        await closed.http.delete(f"/api/v1/files/{ids['trashed']}", headers=who)
        for name in ("upload", "aborted"):
            new = {**who, **TUS, "Upload-Length": "6"}
            created = await closed.http.post("/files", headers=new)
            ids[name] = created.headers["Location"].rpartition("/")[2]
        first = {**who, **TUS, **CHUNK, "Upload-Offset": "0"}
        assert (await closed.http.patch(f"/files/{ids['upload']}", headers=first, content=b"abc")).status_code == 204
        await closed.http.delete(f"/files/{ids['aborted']}", headers={**who, **TUS})
        ids["key"] = await anext(key.id async for key in closed.keys.all("ann"))
        yield Ann(closed, who, ids)


async def stored(closed: Door, who: dict[str, str], name: str) -> str:
    answer = await closed.http.put(f"/files/{name}.txt", content=b"hers", headers=who)
    return str(answer.json()["file_id"])


async def asked(ann: Ann, who: dict[str, str], method: str, path: str, fields: dict[str, str], body: str) -> str:
    """All that an answer says."""
    response = await ann.door.http.request(method, path, headers={**who, **fields}, content=body.encode())
    shown = sorted((name, value) for name, value in response.headers.items() if name not in PASSING)
    return f"{response.status_code} {shown} {response.text}"


def requests_of(route: Route) -> list[tuple[str, str, dict[str, str], str]]:
    """How a route can be asked about an id: method, path with ID in it, fields, body."""
    path = route.path.rstrip("/") or "/"
    end = "/" if route.path != path else ""
    if path in QUERIES:
        return [(method, f"{path}{end}{query}", fields, body) for method, query, fields, body in QUERIES[path]]
    assert IDS.intersection(route.param_convertors), f"{path}: whose things does it show? It needs a row"
    named = re.sub(r"{(\w+)[^}]*}", lambda found: "ID" if found[1] in IDS else "small", path) + end
    methods = route.methods if isinstance(route, APIRoute) else METHODS
    return [
        (method, f"{named}{query}", fields, "abc" if method in {"POST", "PUT", "PATCH"} else "")
        for method in sorted(methods or METHODS)
        for fields in SPOKEN.get(path, [{}])
        for query in ("", "?user_id=ann&follow=true")
    ]


async def test_no_route_knows_another_user_s_things(ann: Ann) -> None:
    bob = bearer(await ann.door.key("bob"))
    routes = [route for route in walked(ann.door.app) if route.path not in PUBLIC | LISTS]
    before = await ann.state()
    differences, tried = [], 0

    async with ann.door.ports.leases.hold(ann.ids["upload"]):  # as if she were sending just now
        for route in routes:
            for method, path, fields, body in requests_of(route):
                answers = {}
                for name, one in {**ann.ids, "nobody's": NOBODY_S}.items():
                    sent = {key: value.replace("ID", one) for key, value in fields.items()}
                    said = await asked(ann, bob, method, path.replace("ID", one), sent, body.replace("ID", one))
                    answers[name] = said.replace(one, "ID")
                    tried += 1
                nobody_s = answers.pop("nobody's")
                differences += [
                    f"{method} {path} {fields} of ann's {name}: {said}\n    of nobody's: {nobody_s}"
                    for name, said in answers.items()
                    if said != nobody_s
                ]

    assert differences == []
    assert await ann.state() == before
    assert tried > 300
    stale = (PUBLIC | LISTS | set(QUERIES) | set(SPOKEN)) - {route.path for route in walked(ann.door.app)}
    assert stale == set()


@pytest.mark.parametrize("path", sorted(LISTS - {"/api/v1/events"}))
async def test_no_list_shows_another_user_s_things(ann: Ann, path: str) -> None:
    bob = bearer(await ann.door.key("bob"))

    own = await asked(ann, bob, "GET", path, {}, "")

    for query, fields in (("", {"X-User-Id": "ann"}), ("?user_id=ann", {}), ("?deleted=true&user_id=ann", {})):
        said = await asked(ann, bob, "GET", f"{path}{query}", fields, "")
        assert said == own
        assert not any(one in said for one in ann.ids.values())


async def test_nobody_hears_of_another_user_s_things(ann: Ann) -> None:
    async def heard(who: dict[str, str]) -> str:
        async def something_happens() -> None:
            await stored(ann.door, ann.who, "new")
            await asyncio.sleep(1.0)  # twice the time between two looks

        fields = {**who, "Last-Event-ID": "0", "X-User-Id": "ann"}
        sent = await cut_request(ann.door.app, "GET", "/api/v1/events?user_id=ann", fields, then=something_happens)
        return b"".join(message.get("body", b"") for message in sent).decode()

    hers = await heard(ann.who)
    bobs = await heard(bearer(await ann.door.key("bob")))

    assert ann.ids["file"] in hers
    assert "new.txt" in hers
    assert "data:" not in bobs


def messages_of(name: str, one: str) -> list[list[Message]]:
    """The streams of messages by which an RPC can be asked about an id; none if it has no place for one."""
    method = pb.DESCRIPTOR.services_by_name["FileService"].methods_by_name[name]
    kind = getattr(pb, method.input_type.name)
    if name == "UploadFile":
        begun = [pb.FileMetadata(upload_id=one, offset=3), pb.FileMetadata(upload_id=one, filename="a", user_id="ann")]
        return [[kind(metadata=metadata), kind(chunk=b"abc")] for metadata in begun]
    fields = {field.name for field in method.input_type.fields}
    asked: list[dict[str, Any]] = [{field: one} for field in sorted(fields & {"file_id", "upload_id"})]
    if "user_id" in fields:
        asked += [{**named, "user_id": "ann"} for named in asked]
    if "follow" in fields:
        asked += [{**named, "follow": True} for named in asked]
    return [[kind(**named)] for named in asked]


async def answer_of(ann: Ann, who: Mapping[str, str], name: str, messages: Sequence[Message]) -> str:
    """All that an RPC says."""
    method = pb.DESCRIPTOR.services_by_name["FileService"].methods_by_name[name]
    metadata = [("authorization", who["Authorization"])]
    called = getattr(ann.door.rpc, name)(iter(messages) if method.client_streaming else messages[0], metadata=metadata)
    try:
        said = [str(one) async for one in called] if method.server_streaming else [str(await called)]
    except aio.AioRpcError as error:
        details = [str(value) for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
        return f"{error.code()} {error.details()} {details}"
    return json.dumps(said)


RPCS = [method.name for method in pb.DESCRIPTOR.services_by_name["FileService"].methods]
# What shows or makes the caller's own, whomever it names.
LISTING_RPCS = {"ListFiles", "ListUploads", "GetDeletionStats"}
MAKING_RPCS = {"CreateUpload"}


async def test_no_rpc_knows_another_user_s_things(ann: Ann) -> None:
    bob = bearer(await ann.door.key("bob"))
    before = await ann.state()

    async with ann.door.ports.leases.hold(ann.ids["upload"]):
        for name in set(RPCS) - LISTING_RPCS - MAKING_RPCS:
            unknown = [await answer_of(ann, bob, name, messages) for messages in messages_of(name, NOBODY_S)]
            assert unknown, f"{name}: whose things does it show? It needs a row"
            for kind, one in ann.ids.items():
                said = [await answer_of(ann, bob, name, messages) for messages in messages_of(name, one)]
                assert [text.replace(one, NOBODY_S) for text in said] == unknown, (name, kind)

    assert await ann.state() == before


@pytest.mark.parametrize("name", sorted(LISTING_RPCS))
async def test_no_rpc_lists_another_user_s_things(ann: Ann, name: str) -> None:
    bob = bearer(await ann.door.key("bob"))
    method = pb.DESCRIPTOR.services_by_name["FileService"].methods_by_name[name]
    kind = getattr(pb, method.input_type.name)

    own = await answer_of(ann, bob, name, [kind()])

    assert await answer_of(ann, bob, name, [kind(user_id="ann")]) == own
    assert not any(one in own for one in ann.ids.values())
