"""A client as it was built long ago: from `legacy/file_service.proto`, never from the server's own definition.

Invariant: its messages live in a descriptor pool of their own. The server's have the same full names, and in one
pool either the two would clash or the client would learn of fields it must not know.
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClassesForFiles
from grpc_tools import protoc

PROTO = Path(__file__).parent / "legacy" / "file_service.proto"
SERVICE = "fileservice.v1.FileService"
CHUNK_BYTES = 64 * 1024
CALL_SECONDS_MAX = 60

Metadata = tuple[tuple[str, str], ...]


def compiled(proto: Path) -> FileDescriptorSet:
    """The proto and what it imports, compiled by protoc."""
    included = Path(protoc.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "descriptors"
        options = [f"-I{proto.parent}", f"-I{included}", "--include_imports", f"--descriptor_set_out={target}"]
        status = protoc.main(["protoc", *options, str(proto)])
        assert status == 0, f"protoc refuses {proto.name}"
        return FileDescriptorSet.FromString(target.read_bytes())


class LegacyMessages:
    """The message classes, by their short names: `messages.FileMetadata(...)`."""

    def __init__(self, files: FileDescriptorSet) -> None:
        """Make the classes in a pool of their own."""
        pool = DescriptorPool()
        for file in files.file:
            pool.Add(file)
        classes = GetMessageClassesForFiles([PROTO.name], pool)
        self._classes = {name.rpartition(".")[2]: message for name, message in classes.items()}

    def __getattr__(self, name: str) -> Any:
        """A class, or any error that a misspelling deserves."""
        return self._classes[name]


class LegacyClient:
    """The five old methods, called as the old clients call them."""

    def __init__(self, channel: grpc.Channel, messages: LegacyMessages, metadata: Metadata = ()) -> None:
        """Call over `channel`, with `metadata` on every call."""
        self.messages = messages
        self._channel = channel
        self._metadata = metadata

    def upload(self, content: bytes, **fields: Any) -> Any:
        """Send a file: metadata, then chunks of 64 KiB; the size is the content's if `fields` do not give one."""
        fields = {"size": len(content), **fields}
        return self.upload_messages(self.upload_requests(content, **fields))

    def upload_requests(self, content: bytes, **fields: Any) -> Iterator[Any]:
        """The messages of an upload."""
        request = self.messages.UploadFileRequest
        yield request(metadata=self.messages.FileMetadata(**fields))
        for start in range(0, len(content), CHUNK_BYTES):
            yield request(chunk=content[start : start + CHUNK_BYTES])

    def upload_messages(self, requests: Iterable[Any]) -> Any:
        """Send these messages, whatever they are."""
        call = self._channel.stream_unary(
            f"/{SERVICE}/UploadFile",
            request_serializer=self.messages.UploadFileRequest.SerializeToString,
            response_deserializer=self.messages.UploadFileResponse.FromString,
        )
        return call(iter(requests), metadata=self._metadata, timeout=CALL_SECONDS_MAX)

    def download(self, file_id: str) -> list[Any]:
        """Every message of a download."""
        call = self._channel.unary_stream(
            f"/{SERVICE}/DownloadFile",
            request_serializer=self.messages.DownloadFileRequest.SerializeToString,
            response_deserializer=self.messages.DownloadFileResponse.FromString,
        )
        request = self.messages.DownloadFileRequest(file_id=file_id)
        return list(call(request, metadata=self._metadata, timeout=CALL_SECONDS_MAX))

    def describe(self, file_id: str) -> Any:
        """GetFileMetadata."""
        return self._unary("GetFileMetadata", file_id=file_id)

    def list_files(self, **fields: Any) -> Any:
        """ListFiles."""
        return self._unary("ListFiles", **fields)

    def delete_file(self, **fields: Any) -> Any:
        """DeleteFile."""
        return self._unary("DeleteFile", **fields)

    def _unary(self, method: str, **fields: Any) -> Any:
        request_class = getattr(self.messages, f"{method}Request")
        call = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=getattr(self.messages, f"{method}Response").FromString,
        )
        return call(request_class(**fields), metadata=self._metadata, timeout=CALL_SECONDS_MAX)
