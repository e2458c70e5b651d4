"""grpcurl, which learns the whole service from server reflection, against a running server."""

import hashlib
import json
import os
import re
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.interop.stored import stored_sha256
from tests.running_server import RunningServer

MIB = 2**20
CALL_SECONDS_MAX = 60
CHUNK_BYTES = 64 * 1024
TEXT = b"A line that any editor shows.\n" * 10_000

GRPC_INVALID_ARGUMENT = 3
GRPC_NOT_FOUND = 5
GRPC_DATA_LOSS = 15

pytestmark = pytest.mark.timeout(600)  # the first test may have to build the client

Message = Mapping[str, Any]


class Grpcurl:
    """Calls by name, with messages as JSON."""

    def __init__(self, program: Path, target: str) -> None:
        self._program = program
        self._target = target

    def run(self, *arguments: str, options: Iterable[str] = (), stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the program against the server."""
        command = [str(self._program), "-plaintext", *options, self._target, *arguments]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=CALL_SECONDS_MAX
        )

    def text(self, *arguments: str) -> str:
        """What the program prints for a question about the service."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def call(self, method: str, *messages: Message) -> list[Any]:
        """The responses to a call."""
        result = self._send(method, messages)
        assert result.returncode == 0, result.stderr
        return list(json_documents(result.stdout))

    def refusal(self, method: str, *messages: Message) -> Any:
        """The status, as JSON, of a call that fails."""
        result = self._send(method, messages)
        assert result.returncode != 0, result.stdout
        return json.loads(result.stderr)

    def _send(self, method: str, messages: Iterable[Message]) -> subprocess.CompletedProcess[str]:
        name = method if "/" in method else f"fileservice.v1.FileService/{method}"
        stdin = "\n".join(json.dumps(message) for message in messages)
        return self.run(name, options=["-format-error", "-d", "@"], stdin=stdin)


def with_proto_names(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with its fields named as in the .proto.

    Descriptors in Python carry no JSON names, others do; both are right, and grpcurl prints what it gets.
    """
    return {re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name): value for name, value in fields}


def json_documents(text: str) -> Iterator[Any]:
    """The JSON documents that stand one after the other in a text."""
    decoder = json.JSONDecoder(object_pairs_hook=with_proto_names)
    rest = text.lstrip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()


def metadata(content: bytes, **fields: Any) -> Message:
    """The first message of an upload."""
    named = {"filename": "notes.txt", "content_type": "text/plain; charset=utf-8", "size": len(content), **fields}
    return {"metadata": named}


def chunks(content: bytes) -> list[Message]:
    """The messages that carry the bytes."""
    pieces = (content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES))
    return [{"chunk": b64encode(piece).decode()} for piece in pieces]


def error_info(status: Any) -> Any:
    """The google.rpc.ErrorInfo among a status's details."""
    kinds = {detail["@type"]: detail for detail in status["details"]}
    return kinds["type.googleapis.com/google.rpc.ErrorInfo"]


@pytest.fixture
def service(grpcurl: Path, server: RunningServer) -> Grpcurl:
    return Grpcurl(grpcurl, server.grpc_target)


@pytest.fixture
def user_id() -> str:
    """A user of this test alone."""
    return str(uuid4())


def test_reflection_lists_the_services(service: Grpcurl) -> None:
    listed = set(service.text("list").split())

    assert {"fileservice.v1.FileService", "grpc.health.v1.Health"} <= listed


def test_reflection_describes_every_method(service: Grpcurl) -> None:
    described = service.text("describe", "fileservice.v1.FileService")

    old = {"UploadFile", "DownloadFile", "GetFileMetadata", "ListFiles", "DeleteFile"}
    added = {"CreateUpload", "GetUploadStatus", "AbortUpload", "RestoreFile", "ListUploads"}
    assert all(f"rpc {method} (" in described for method in old | added)


def test_reflection_describes_the_fields_with_their_numbers(service: Grpcurl) -> None:
    described = service.text("describe", "fileservice.v1.FileMetadata")

    fields = ["string filename = 1;", "string content_type = 2;", "int64 size = 3;", "string user_id = 4;"]
    assert all(field in described for field in [*fields, "string upload_id = 5;"])


@pytest.mark.parametrize("name", ["", "fileservice.v1.FileService"])
def test_the_health_check_says_that_it_serves(service: Grpcurl, name: str) -> None:
    assert service.call("grpc.health.v1.Health/Check", {"service": name}) == [{"status": "SERVING"}]


def test_a_file_goes_up_is_described_is_listed_and_comes_down(service: Grpcurl, user_id: str) -> None:
    [uploaded] = service.call("UploadFile", metadata(TEXT, user_id=user_id), *chunks(TEXT))

    named = {"file_id": uploaded["file_id"]}
    [described] = service.call("GetFileMetadata", named)
    [listed] = service.call("ListFiles", {"user_id": user_id})
    info, *rest = service.call("DownloadFile", named)

    assert uploaded["size"] == described["size"] == str(len(TEXT))
    assert described["filename"] == "notes.txt"
    assert described["content_type"] == "text/plain; charset=utf-8"
    assert described["processing_status"].startswith("PROCESSING_STATUS_")
    assert [entry["file_id"] for entry in listed["files"]] == [uploaded["file_id"]]
    assert info["info"]["file_id"] == uploaded["file_id"]
    assert b"".join(b64decode(message["chunk"]) for message in rest) == TEXT


def test_a_deleted_file_is_restored(service: Grpcurl, user_id: str) -> None:
    [uploaded] = service.call("UploadFile", metadata(TEXT, user_id=user_id), *chunks(TEXT))
    named = {"file_id": uploaded["file_id"], "user_id": user_id}

    [deleted] = service.call("DeleteFile", named)
    gone = service.refusal("GetFileMetadata", {"file_id": uploaded["file_id"]})
    [restored] = service.call("RestoreFile", named)

    assert deleted["success"]
    assert gone["code"] == GRPC_NOT_FOUND
    assert restored["success"]
    assert service.call("GetFileMetadata", {"file_id": uploaded["file_id"]})[0]["size"] == str(len(TEXT))


def test_a_file_over_the_limit_is_refused_with_the_numbers(service: Grpcurl) -> None:
    status = service.refusal("UploadFile", metadata(b"", size=600 * MIB))

    assert status["code"] == GRPC_INVALID_ARGUMENT
    assert status["message"] == "File size 600 MiB exceeds limit of 512 MiB"
    info = error_info(status)
    assert info["reason"]
    assert {str(600 * MIB), str(512 * MIB)} <= set(info["metadata"].values())


def test_an_unknown_file_is_not_found_by_name(service: Grpcurl) -> None:
    unknown = str(uuid4())

    status = service.refusal("GetFileMetadata", {"file_id": unknown})

    assert status["code"] == GRPC_NOT_FOUND
    assert status["message"] == f"No file {unknown}"
    assert error_info(status)["reason"]


def test_an_upload_is_continued_by_its_id(service: Grpcurl, user_id: str) -> None:
    [created] = service.call("CreateUpload", metadata(TEXT, user_id=user_id))
    upload_id = created["upload_id"]

    [half] = service.call("UploadFile", {"metadata": {"upload_id": upload_id}}, *chunks(TEXT[:100_000]))
    [status] = service.call("GetUploadStatus", {"upload_id": upload_id})
    rest = {"metadata": {"upload_id": upload_id, "offset": 100_000}}
    [whole] = service.call("UploadFile", rest, *chunks(TEXT[100_000:]))

    assert half["offset"] == status["offset"] == "100000"
    assert "file_id" not in half
    assert whole["file_id"] == upload_id
    assert whole["complete"]
    _, *pieces = service.call("DownloadFile", {"file_id": upload_id})
    assert b"".join(b64decode(message["chunk"]) for message in pieces) == TEXT


def test_an_upload_begun_over_grpc_is_finished_over_tus(service: Grpcurl, server: RunningServer, user_id: str) -> None:
    content = os.urandom(300_000)
    named = metadata(content, user_id=user_id, content_type="application/octet-stream", filename="data.bin")
    [created] = service.call("CreateUpload", named)
    upload_id = created["upload_id"]
    service.call("UploadFile", {"metadata": {"upload_id": upload_id}}, *chunks(content[:100_000]))

    fields = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "100000",
        "Content-Type": "application/offset+octet-stream",
    }
    url = f"{server.http_url}/files/{upload_id}"
    answer = httpx.patch(url, headers=fields, content=content[100_000:])

    assert answer.headers["Upload-Offset"] == str(len(content))
    assert stored_sha256(server, url) == hashlib.sha256(content).hexdigest()


def test_a_chunk_with_a_wrong_checksum_is_data_loss_and_not_stored(service: Grpcurl, user_id: str) -> None:
    [created] = service.call("CreateUpload", metadata(TEXT, user_id=user_id))
    named = {"metadata": {"upload_id": created["upload_id"]}}
    wrong = {"checked_chunk": {"data": b64encode(TEXT[100:200]).decode(), "crc32c": 0, "offset": 100}}

    status = service.refusal("UploadFile", named, *chunks(TEXT[:100]), wrong)

    assert status["code"] == GRPC_DATA_LOSS
    assert status["message"].startswith("Chunk at 100: crc32c is ")
    assert service.call("GetUploadStatus", {"upload_id": created["upload_id"]})[0]["offset"] == "100"
