"""What messages say, as the engine's values; and those values as messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from google.protobuf.timestamp_pb2 import Timestamp

from uploadstream.core.access import Caller, Credentials, Identity, caller_as
from uploadstream.core.checks import check_each, together
from uploadstream.core.digests import check_crc32c
from uploadstream.core.errors import (
    BadField,
    ChunkTooLarge,
    MissingMetadata,
    OffsetMismatch,
    RangeNotSatisfiable,
)
from uploadstream.core.files import Audit, File, ProcessingStatus
from uploadstream.core.session import Declared, Session, check_declaration
from uploadstream.core.stats import DeletionStats
from uploadstream.engine.uploads import Uploaded
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.protocols.grpc_files.wire import Checked, Sent

PROTOCOL: Final = "grpc"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side of a call: where that is, as gRPC spells it, and who, if that was found out."""

    address: str
    identity: Identity | None = None


# In this order, as of certificates over HTTP (servers/certificates.py).
_NAMES: Final = ("x509_common_name", "x509_uri", "x509_email")
NO_CERTIFICATE: Final[Mapping[str, Iterable[bytes]]] = {}


def read_credentials(
    metadata: Collection[tuple[str, str | bytes]], connection: Mapping[str, Iterable[bytes]] = NO_CERTIFICATE
) -> Credentials:
    """What a call brings to say who makes it: `authorization: Bearer …` or `api-key: …`, or a certificate. BadField.

    `connection`: what gRPC says of the certificate that the client has shown, which it has verified.
    """
    said = {name: [value for key, value in metadata if key == name] for name in ("authorization", "api-key")}
    said["api-key"] += [value for key, value in metadata if key == "x-api-key"]  # as proxies hand it on from HTTP
    if bad := [
        BadField(name, f"must be there once, is there {len(values)} times")
        for name, values in said.items()
        if len(values) > 1
    ]:
        raise together(bad)
    authorization, api_key = (str(values[0]).strip() if values else "" for values in said.values())
    scheme, _, token = authorization.partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    names = [name.decode(errors="replace") for kind in _NAMES for name in connection.get(kind, ())]
    return Credentials(bearer=bearer, api_key=api_key, certificate=next(filter(None, names), ""))


def read_caller(peer: Peer, user_id: str = "") -> Caller:
    """Who calls. An address is a URI (gRPC Name Resolution): `ipv4:127.0.0.1:4100`, `ipv6:%5B::1%5D:4100`. BadField."""
    scheme, _, address = peer.address.partition(":")
    if scheme in {"ipv4", "ipv6"}:
        address = unquote(address).rpartition(":")[0].strip("[]")
    return caller_as(peer.identity, user_id, PROTOCOL, address)


def read_metadata(sent: Sent) -> pb.FileMetadata:
    """The first message of a stream. MissingMetadata."""
    if not isinstance(sent, pb.FileMetadata):
        raise MissingMetadata
    return sent


def read_chunk(sent: Sent, *, at: int, size_max: int) -> bytes | memoryview:
    """The bytes of a later message, which belong at `at`. BadField, ChunkTooLarge, OffsetMismatch, ChecksumMismatch."""
    if isinstance(sent, pb.FileMetadata):
        raise BadField(field="metadata", problem="must be in the first message only")
    data = sent.data if isinstance(sent, Checked) else sent
    if len(data) > size_max:
        raise ChunkTooLarge(size=len(data), limit=size_max)
    if isinstance(sent, Checked):
        if sent.offset != at:
            raise OffsetMismatch(expected=at, given=sent.offset)
        check_crc32c(data, sent.crc32c, at=at)
    return data


def read_declared(metadata: pb.FileMetadata, *, size_max: int) -> Declared:
    """A new file. BadField, which names every bad field; TooLarge."""
    declared = Declared(metadata.user_id, metadata.filename, metadata.content_type, metadata.size)
    check_each(lambda: check_new(metadata), lambda: check_declaration(declared, size_max=size_max))
    return declared


def check_new(metadata: pb.FileMetadata) -> None:
    """Raise BadField for what belongs to an upload that is there already."""
    bad = []
    if metadata.upload_id:
        bad.append(BadField(field="upload_id", problem="must be empty, the server chooses it"))
    if metadata.offset:
        bad.append(BadField(field="offset", problem=f"must be 0 without upload_id, is {metadata.offset}"))
    if bad:
        raise together(bad)


def read_offset(metadata: pb.FileMetadata) -> int | None:
    """Where the first chunk belongs, if that is said."""
    return metadata.offset if metadata.HasField("offset") else None


def read_length(metadata: pb.FileMetadata) -> int | None:
    """The length of an upload that is continued, if it is said again."""
    return metadata.size or None


def read_span(request: pb.DownloadFileRequest, *, size: int) -> tuple[int, int]:
    """The first byte asked for and the one behind the last. BadField, RangeNotSatisfiable."""
    numbers = {"offset": request.offset, "length": request.length}
    if bad := [BadField(field, f"must be 0 or more, is {value}") for field, value in numbers.items() if value < 0]:
        raise together(bad)
    if request.offset > size:
        raise RangeNotSatisfiable(start=request.offset, size=size)
    return request.offset, min(request.offset + request.length, size) if request.length else size


def write_time(at: datetime | None) -> Timestamp | None:
    """A time, absent where there is none."""
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def write_processing(status: ProcessingStatus) -> str:
    """The name of a status in the enumeration."""
    return f"PROCESSING_STATUS_{status.name}"


def write_stored(file: File) -> pb.UploadFileResponse:
    """The answer to a stream that brought the last bytes of a file."""
    return pb.UploadFileResponse(
        file_id=file.id,
        filename=file.filename,
        size=file.size,
        content_type=file.content_type,
        uploaded_at=write_time(file.uploaded_at),
        processing_status=write_processing(file.processing_status),
        upload_id=file.id,
        offset=file.size,
        complete=True,
        crc32c=file.crc32c,
    )


def write_uploaded(uploaded: Uploaded) -> pb.UploadFileResponse:
    """The answer to a stream that continued an upload, complete or not."""
    if uploaded.file is not None:
        return write_stored(uploaded.file)
    session = uploaded.session
    return pb.UploadFileResponse(
        filename=session.declared.filename,
        size=session.length,
        content_type=session.declared.content_type,
        upload_id=session.id,
        offset=session.offset,
    )


def write_upload(uploaded: Uploaded, expires_at: datetime) -> pb.UploadStatus:
    """How far an upload is; `expires_at` counts while it is not complete."""
    session, file = uploaded.session, uploaded.file
    return pb.UploadStatus(
        upload_id=session.id,
        offset=session.offset,
        size=session.length,
        complete=file is not None,
        expires_at=write_time(None if file else expires_at),
        file_id=file.id if file else "",
        filename=session.declared.filename,
        content_type=file.content_type if file else session.declared.content_type,
        user_id=session.declared.user_id,
        protocol=session.protocol,
        created_at=None if file else write_time(session.created_at),  # of a file, only its completion is kept
    )


def write_info(file: File) -> pb.FileInfo:
    """What a download begins with."""
    return pb.FileInfo(
        file_id=file.id,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size,
        uploaded_at=write_time(file.uploaded_at),
        crc32c=file.crc32c,
    )


def write_info_so_far(session: Session) -> pb.FileInfo:
    """What a download of an upload in progress begins with."""
    return pb.FileInfo(
        file_id=session.id,
        filename=session.declared.filename,
        content_type=session.declared.content_type,
        size=session.length,
    )


def write_description(file: File) -> pb.GetFileMetadataResponse:
    """Everything about a file."""
    return pb.GetFileMetadataResponse(
        file_id=file.id,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size,
        uploaded_at=write_time(file.uploaded_at),
        processing_status=write_processing(file.processing_status),
        user_id=file.user_id,
        crc32c=file.crc32c,
        sha256=file.sha256,
    )


def write_entry(file: File) -> pb.FileEntry:
    """A file's row in a listing."""
    return pb.FileEntry(
        file_id=file.id,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size,
        uploaded_at=write_time(file.uploaded_at),
        processing_status=write_processing(file.processing_status),
        user_id=file.user_id,
        crc32c=file.crc32c,
        sha256=file.sha256,
        deleted_at=write_time(file.deleted_at),
    )


def write_audit(entry: Audit) -> pb.AuditEntry:
    """A row of the trail."""
    return pb.AuditEntry(
        file_id=entry.file_id,
        action=entry.action.value,
        user_id=entry.user_id,
        at=write_time(entry.at),
        protocol=entry.protocol,
        address=entry.address,
        details=entry.details,
    )


def write_stats(stats: DeletionStats) -> pb.GetDeletionStatsResponse:
    """Deletion analytics."""
    return pb.GetDeletionStatsResponse(
        deleted=stats.deleted,
        restored=stats.restored,
        restored_share=stats.restored_share,
        by_day=stats.by_day,
        by_type=stats.by_type,
        age_seconds_mean=stats.age_seconds_mean,
        age_seconds_max=stats.age_seconds_max,
        by_age=[pb.AgeCount(age=age, deleted=count) for age, count in stats.by_age.items()],
        purged=stats.purged,
        purged_bytes=stats.purged_bytes,
    )
