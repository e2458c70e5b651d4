"""An upload says how it can be continued: who does word for word what is said there, over any protocol, finishes it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import json_format

from tests.running_server import RunningServer
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.proto.fileservice.v1 import file_service_pb2_grpc as services

CONTENT = "The river was high, später höher.\n".encode()
SENT = 7
SECONDS_MAX = 30


@pytest.fixture
def upload_id(server: RunningServer) -> str:
    """An upload that was begun over tus."""
    metadata = f"filename {base64.b64encode('ü b.txt'.encode()).decode()}"
    fields = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(CONTENT)), "Upload-Metadata": metadata}
    body = {"Content-Type": "application/offset+octet-stream"}
    answer = httpx.post(f"{server.http_url}/files", headers={**fields, **body}, content=CONTENT[:SENT])
    return str(answer.raise_for_status().headers["Location"].rpartition("/")[2])


def send_over_http(server: RunningServer, way: dict[str, Any]) -> None:
    answer = httpx.request(
        way["method"], server.http_url + way["url"], headers=way["headers"], content=CONTENT[SENT:], timeout=SECONDS_MAX
    )
    assert answer.is_success, answer.text


def send_over_grpc(_: RunningServer, way: dict[str, Any]) -> None:
    def messages() -> Iterator[pb.UploadFileRequest]:
        yield json_format.Parse(json.dumps(way["message"]), pb.UploadFileRequest())
        yield pb.UploadFileRequest(chunk=CONTENT[SENT:])

    assert way["method"] == "fileservice.v1.FileService/UploadFile"
    with grpc.insecure_channel(way["url"].removeprefix("grpc://")) as channel:
        stub: Any = services.FileServiceStub(channel)  # type: ignore[arg-type]  # typed for grpc.aio
        assert stub.UploadFile(messages(), timeout=SECONDS_MAX).file_id


WAYS = {"tus": send_over_http, "ietf": send_over_http, "filepond": send_over_http, "grpc": send_over_grpc}


@pytest.mark.parametrize("protocol", WAYS)
def test_a_way_to_continue_an_upload_is_one(server: RunningServer, upload_id: str, protocol: str) -> None:
    api = f"{server.http_url}/api/v1"
    ways = {way["protocol"]: way for way in httpx.get(f"{api}/uploads/{upload_id}").raise_for_status().json()["ways"]}
    assert ways.keys() == WAYS.keys()

    WAYS[protocol](server, ways[protocol])

    assert httpx.get(f"{api}/uploads/{upload_id}").json()["complete"]
    assert httpx.get(f"{api}/files/{upload_id}/content").content == CONTENT
    assert httpx.get(f"{api}/files/{upload_id}").json()["filename"] == "ü b.txt"
