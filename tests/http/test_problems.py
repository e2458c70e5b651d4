"""Every refusal has one status over HTTP, and says itself as problem details."""

import json
from http import HTTPStatus

import pytest

from tests.core.test_errors import SAID
from uploadstream.core.access import Forbidden, ScopeMissing, Unauthenticated, WrongCredentials
from uploadstream.core.allowances import LimitReached, QuotaExceeded, RateLimited, TooManyActive
from uploadstream.core.checks import together
from uploadstream.core.claims import KeysUnavailable
from uploadstream.core.errors import (
    BadBodyType,
    BadField,
    BadInput,
    BodyTimeout,
    Busy,
    BytesLost,
    CatalogUnavailable,
    ChecksumMismatch,
    ChunkTooLarge,
    ContentRefused,
    Draining,
    Gone,
    HookFailed,
    LengthMismatch,
    MissingMetadata,
    NotFound,
    NoThumbnail,
    OffsetMismatch,
    RangeNotSatisfiable,
    Refusal,
    StorageFull,
    StorageUnavailable,
    TakenOver,
    TooLarge,
    TooManyListeners,
    TypeMismatch,
    TypeNotAllowed,
    Unavailable,
    UploadClosed,
    UploadJoined,
    every_refusal,
)
from uploadstream.http.problems import STATUS, fields_of, problem_of, status_of

EXPECTED: dict[type[Refusal], int] = {
    Refusal: 400,
    BadInput: 400,
    BadField: 400,
    BadBodyType: 415,
    MissingMetadata: 400,
    TooLarge: 413,
    ChunkTooLarge: 413,
    LengthMismatch: 400,
    ContentRefused: 415,
    TypeMismatch: 415,
    TypeNotAllowed: 415,
    OffsetMismatch: 409,
    UploadClosed: 409,
    UploadJoined: 409,
    ChecksumMismatch: 400,
    RangeNotSatisfiable: 416,
    Forbidden: 403,
    ScopeMissing: 403,
    Unauthenticated: 401,
    WrongCredentials: 401,
    NotFound: 404,
    NoThumbnail: 404,
    Gone: 410,
    Busy: 423,
    TakenOver: 423,
    BodyTimeout: 408,
    LimitReached: 429,
    RateLimited: 429,
    TooManyActive: 429,
    QuotaExceeded: 507,
    Unavailable: 503,
    StorageUnavailable: 503,
    StorageFull: 507,
    BytesLost: 503,
    CatalogUnavailable: 503,
    HookFailed: 503,
    KeysUnavailable: 503,
    TooManyListeners: 503,
    Draining: 503,
}
ERRORS = [pytest.param(error, id=type(error).__name__) for error, _ in SAID]


def test_no_refusal_is_missing_in_the_table() -> None:
    statuses = {cls: status_of(cls.__new__(cls)) for cls in every_refusal()}

    assert statuses == EXPECTED


def test_every_row_of_the_table_is_about_a_refusal() -> None:
    assert set(STATUS) <= set(every_refusal())


def test_a_protocol_may_have_a_table_of_its_own() -> None:
    assert status_of(BadField("a", "b"), {Refusal: 418}) == 418


@pytest.mark.parametrize("error", ERRORS)
def test_a_problem_says_the_sentence_and_its_numbers(error: Refusal) -> None:
    problem = json.loads(json.dumps(problem_of(error)))

    assert problem.pop("type") == f"urn:uploadstream:{error.reason.lower().replace('_', '-')}"
    assert problem.pop("title") == HTTPStatus(problem["status"]).phrase
    assert problem.pop("status") == EXPECTED[type(error)]
    assert problem.pop("detail") == str(error)
    assert problem.pop("errors", None) == ([error.numbers] if isinstance(error, BadField) else None)
    assert problem.pop("violated-policies", None) == ([error.policy] if isinstance(error, LimitReached) else None)
    assert problem == error.numbers


def test_a_problem_lists_every_bad_field() -> None:
    problem = problem_of(together([BadField("a", "is 1"), BadField("b", "is 2")]))

    assert problem["detail"] == "a: is 1; b: is 2"
    assert (problem["field"], problem["problem"]) == ("a", "is 1")
    assert problem["errors"] == [{"field": "a", "problem": "is 1"}, {"field": "b", "problem": "is 2"}]


def test_numbers_are_numbers_in_a_problem() -> None:
    problem = json.loads(json.dumps(problem_of(BodyTimeout(seconds=1.5)) | problem_of(TooLarge(size=2, limit=1))))

    assert (problem["seconds"], problem["size"], problem["limit"]) == (1.5, 2, 1)


@pytest.mark.parametrize("error", ERRORS)
def test_what_may_succeed_later_says_when_to_try_again(error: Refusal) -> None:
    may_pass = EXPECTED[type(error)] in {423, 429, 503, 507} and not isinstance(error, QuotaExceeded)

    assert ("Retry-After" in fields_of(error)) == may_pass
    assert all(value.isdigit() for name, value in fields_of(error).items() if name == "Retry-After")


def test_a_range_that_is_not_there_says_how_long_the_file_is() -> None:
    assert fields_of(RangeNotSatisfiable(start=9, size=8)) == {"Content-Range": "bytes */8"}


def test_who_is_not_known_is_told_how_to_say_who_it_is() -> None:
    assert fields_of(Unauthenticated("Log in first")) == {"WWW-Authenticate": "Bearer"}
    wrong, missing = WrongCredentials("No"), ScopeMissing("No", "write")
    assert fields_of(wrong) == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    assert fields_of(missing) == {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="write"'}
    assert fields_of(Forbidden("Members only")) == {}
