"""Every refusal has a word of gRPC's, and carries what machines need to know of it."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast
from urllib.parse import quote

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tests.core.refusals import refusal_of
from uploadstream.core import errors
from uploadstream.core.checks import together
from uploadstream.core.errors import every_refusal
from uploadstream.core.session import Declared, Session
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.protocols.grpc_files.errors import STATUS, details_of, status_of
from uploadstream.protocols.grpc_files.messages import read_declared


def test_every_refusal_has_a_status_code() -> None:
    assert set(STATUS) == set(every_refusal())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.TooLarge(size=2, limit=1), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.MissingMetadata(), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.ChunkTooLarge(size=2, limit=1), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.LengthMismatch(received=2, declared=1), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.TypeMismatch(declared="image/png", detected="text/plain"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.TypeNotAllowed(detected="text/plain", allowed=("image/*",)), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.BadField(field="filename", problem="must be"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.OffsetMismatch(expected=2, given=1), grpc.StatusCode.FAILED_PRECONDITION),
        (
            errors.ChecksumMismatch(at=0, algorithm="crc32c", computed="00000001", declared="00000000"),
            grpc.StatusCode.DATA_LOSS,
        ),
        (errors.NotFound(kind="file", id="5f0c"), grpc.StatusCode.NOT_FOUND),
        (errors.Gone(kind="file", id="5f0c", how="deleted"), grpc.StatusCode.NOT_FOUND),
        (errors.Busy(upload_id="5f0c"), grpc.StatusCode.ABORTED),
        (errors.TakenOver(upload_id="5f0c"), grpc.StatusCode.ABORTED),
        (errors.StorageUnavailable(), grpc.StatusCode.UNAVAILABLE),
        (errors.CatalogUnavailable(), grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_a_refusal_has_the_code_of_the_public_contract(error: errors.Refusal, code: grpc.StatusCode) -> None:
    status = status_of(error)

    assert (status.code, status.details) == (code, str(error))


def test_the_numbers_of_a_refusal_go_along() -> None:
    status = status_of(errors.OffsetMismatch(expected=8192, given=4096))

    [(key, value)] = status.trailing_metadata or []
    assert key == "grpc-status-details-bin"
    assert isinstance(value, bytes)
    info = ErrorInfo()
    assert Status.FromString(value).details[0].Unpack(info)
    assert (info.reason, info.domain) == ("OFFSET_MISMATCH", "uploadstream")
    assert dict(info.metadata) == {"expected": "8192", "given": "4096"}


def test_a_bad_field_is_named() -> None:
    [_, bad] = details_of(errors.BadField(field="filename", problem="must be 1 to 255 bytes, has 0"))

    assert isinstance(bad, BadRequest)
    [violation] = bad.field_violations
    assert (violation.field, violation.description) == ("filename", "must be 1 to 255 bytes, has 0")


def test_every_bad_field_is_named() -> None:
    [_, bad] = details_of(together([errors.BadField("filename", "is 1"), errors.BadField("size", "is 2")]))

    assert isinstance(bad, BadRequest)
    assert [(one.field, one.description) for one in bad.field_violations] == [("filename", "is 1"), ("size", "is 2")]


WIDE = "\U0001d11e"  # four bytes of UTF-8, ten of ASCII
SESSION = Session(
    "5f0c", Declared("ann", WIDE * 63, "a/" + "b" * 253, 5), 5, "test", datetime.now(UTC), datetime.now(UTC)
)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: SESSION.check_agrees(filename=WIDE * 999, content_type=WIDE * 999, length=2**63 - 1),
        lambda: read_declared(
            pb.FileMetadata(
                filename=WIDE * 999,
                content_type=WIDE * 255,
                size=-(2**63),
                user_id="\n" * 999,
                upload_id=WIDE,
                offset=1,
            ),
            size_max=5,
        ),
    ],
)
def test_the_end_of_a_call_fits_in_what_clients_take_of_it(refuse: Callable[[], object]) -> None:
    error = refusal_of(refuse)
    assert isinstance(error, errors.BadField)
    status = status_of(error)

    [(_, details)] = status.trailing_metadata or []

    assert len(quote(status.details or "")) + len(b64encode(cast("bytes", details))) < 7 * 1024


@pytest.mark.parametrize("error", [errors.Busy(upload_id="5f0c"), errors.StorageFull(free=0), errors.Draining()])
def test_what_may_pass_says_when_to_come_back(error: errors.Refusal) -> None:
    [_, retry] = details_of(error)

    assert isinstance(retry, RetryInfo)
    assert retry.retry_delay.seconds > 0


def test_who_was_taken_over_is_not_told_to_come_back() -> None:
    assert [type(detail) for detail in details_of(errors.TakenOver(upload_id="5f0c"))] == [ErrorInfo]
