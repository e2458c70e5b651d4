"""Every refusal has a word of gRPC's, and carries what machines need to know of it."""

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from uploadstream.core import errors
from uploadstream.core.errors import every_refusal
from uploadstream.protocols.grpc_files.errors import STATUS, details_of, status_of


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
    [_, bad] = details_of(errors.together([errors.BadField("filename", "is 1"), errors.BadField("size", "is 2")]))

    assert isinstance(bad, BadRequest)
    assert [(one.field, one.description) for one in bad.field_violations] == [("filename", "is 1"), ("size", "is 2")]


@pytest.mark.parametrize("error", [errors.Busy(upload_id="5f0c"), errors.StorageFull(free=0), errors.Draining()])
def test_what_may_pass_says_when_to_come_back(error: errors.Refusal) -> None:
    [_, retry] = details_of(error)

    assert isinstance(retry, RetryInfo)
    assert retry.retry_delay.seconds > 0


def test_who_was_taken_over_is_not_told_to_come_back() -> None:
    assert [type(detail) for detail in details_of(errors.TakenOver(upload_id="5f0c"))] == [ErrorInfo]
