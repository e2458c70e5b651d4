"""Why something did not work, whichever way the server said it.

Invariant: nothing else leaves the client for a reason that lies outside the caller's program; whatever grpc or httpx
raise is turned into this where it happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UNREACHABLE: Final = "UNREACHABLE"
TIMED_OUT: Final = "TIMED_OUT"
UNTRUSTED: Final = "UNTRUSTED"
FOREIGN_SERVER: Final = "FOREIGN_SERVER"
INCOMPLETE: Final = "INCOMPLETE"
CHECKSUM_MISMATCH: Final = "CHECKSUM_MISMATCH"
FILE_CHANGED: Final = "FILE_CHANGED"
FILE_EXISTS: Final = "FILE_EXISTS"
FILE_UNREADABLE: Final = "FILE_UNREADABLE"
FILE_UNWRITABLE: Final = "FILE_UNWRITABLE"
NOT_FOUND: Final = "NOT_FOUND"
GONE: Final = "GONE"
TAKEN_OVER: Final = "TAKEN_OVER"
TYPE_MISMATCH: Final = "TYPE_MISMATCH"
RATE_LIMITED: Final = "RATE_LIMITED"
CHUNK_TOO_LARGE: Final = "CHUNK_TOO_LARGE"
UNAUTHENTICATED: Final = "UNAUTHENTICATED"
WRONG_CREDENTIALS: Final = "WRONG_CREDENTIALS"

# As OpenSSL, and BoringSSL in grpc, call it.
_NOT_TRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class UploadError(Exception):
    """Something was refused, or could not be done.

    `reason` is a stable name: one of the server's (its ErrorInfo reason) or one of this module's. `message` says in a
    sentence what is wrong and what to do; `numbers` holds its figures as text. `is_passing`: the same thing may work
    later, and the client has tried again already as long as it was told to. `retry_after_seconds`: what the server
    asked to be waited before that.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        numbers: Mapping[str, str] = _NOTHING,
        *,
        is_passing: bool = False,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.numbers = numbers
        self.is_passing = is_passing
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_missing(self) -> bool:
        """There is no such file or upload, or not any more."""
        return self.reason in {NOT_FOUND, GONE}

    @property
    def came_from_server(self) -> bool:
        """A server answered, so it can be reached."""
        return self.reason not in {UNREACHABLE, TIMED_OUT}


def unreachable(where: str, *, detail: str, is_local: bool) -> UploadError:
    """No answer from `where`; the advice depends on whether the server would be on this machine."""
    if _NOT_TRUSTED in detail:
        return untrusted(where, detail=detail)
    advice = "is it running? Start it with scripts/serve" if is_local else "check the address and the network"
    return UploadError(UNREACHABLE, f"Cannot reach {where}; {advice}", {"detail": detail}, is_passing=True)


def untrusted(where: str, *, detail: str) -> UploadError:
    """`where` shows a certificate that nobody known here vouches for; each library has its own way to know more."""
    variable = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" if where.startswith("grpc") else "SSL_CERT_FILE"
    message = f"The certificate of {where} is not trusted; name a PEM file of whoever issued it in {variable}"
    return UploadError(UNTRUSTED, message, {"detail": detail})


def timed_out(where: str, *, seconds: float) -> UploadError:
    """The connection stands, but nothing has come or gone for `seconds`."""
    message = f"No sign of life from {where} for {seconds:g} s; check the network, or try again"
    return UploadError(TIMED_OUT, message, {"seconds": f"{seconds:g}"}, is_passing=True)


def foreign(where: str) -> UploadError:
    """Something else than UploadStream answers at `where`."""
    return UploadError(FOREIGN_SERVER, f"{where} answers, but not as UploadStream does; check the address")
