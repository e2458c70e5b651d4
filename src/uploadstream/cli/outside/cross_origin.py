"""Whether pages of another origin can use a deployment: what browsers ask first, and what they let scripts read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.deployment import TUS, Deployment
from uploadstream.cli.outside.exchange import Answer

PREFLIGHT: Final = "CORS preflight"
SUCCESS: Final = "CORS answers"
REFUSAL: Final = "CORS errors"

STRANGER: Final = "https://app.example"
NOBODY: Final = str(uuid.UUID(int=0))  # no upload has this id
METHODS: Final = ("DELETE", "HEAD", "PATCH", "POST")
FIELDS: Final = (
    *("authorization", "content-type", "tus-resumable", "upload-checksum", "upload-complete", "upload-concat"),
    *("upload-draft-interop-version", "upload-length", "upload-metadata", "upload-offset", "x-user-id"),
)
EXPOSED: Final = {"location", "tus-resumable", "tus-version", "upload-complete", "upload-length", "upload-offset"}

_ALLOWED: Final = "access-control-allow-origin"
_ONE_HOME: Final = (
    "let UploadStream alone say it: no add_header, http-response or header for Access-Control-* in the proxy"
)


def check_cross_origin(there: Deployment, origin: str) -> Iterator[Finding]:
    """A preflight, an answer and a refusal, as a page of `origin` meets them (of anywhere, if it is empty)."""
    page = {"Origin": origin or STRANGER}
    first = _ask_first(there, page)
    with there.upload(1) as upload:
        success = there.ask("HEAD", upload.path, {**TUS, **page})
    if not first.get(_ALLOWED) and not success.get(_ALLOWED):
        yield _shut(page["Origin"], is_meant=bool(origin))
        return
    yield _judge_preflight(first, page["Origin"])
    yield _judge(SUCCESS, success, page["Origin"])
    yield _judge(REFUSAL, there.ask("HEAD", f"/files/{NOBODY}", {**TUS, **page}), page["Origin"])


def _ask_first(there: Deployment, page: dict[str, str]) -> Answer:
    """What a browser asks before it sends a chunk (Fetch standard, section 4.8)."""
    wish = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": ",".join(FIELDS)}
    return there.ask("OPTIONS", "/files", {**page, **wish})


def _shut(origin: str, *, is_meant: bool) -> Finding:
    if is_meant:
        advice = f"add it: UPLOADSTREAM_CORS_ORIGINS={origin}; and see that the proxy removes no Access-Control-*"
        return Finding(PREFLIGHT, Level.FAIL, f"pages of {origin} are not let in", advice)
    advice = "if some should be, name them in UPLOADSTREAM_CORS_ORIGINS, and look again with --origin"
    return Finding(PREFLIGHT, Level.WARN, "pages of just any origin are not let in", advice)


def _judge_preflight(answer: Answer, origin: str) -> Finding:
    if trouble := _trouble_with_origin(answer, origin):
        return Finding(PREFLIGHT, Level.FAIL, trouble, _ONE_HOME)
    if not answer.is_success:
        found = f"OPTIONS /files is answered {answer.status}, browsers want 200 to 299"
        return Finding(PREFLIGHT, Level.FAIL, found, "let OPTIONS through to UploadStream")
    methods, fields = answer.words("access-control-allow-methods"), answer.words("access-control-allow-headers")
    missing = [
        *[method for method in METHODS if not {method.lower(), "*"} & methods],
        *[name for name in FIELDS if not {name, "*"} & fields],
    ]
    if missing:
        return Finding(PREFLIGHT, Level.FAIL, f"not allowed: {', '.join(missing)}", _ONE_HOME)
    return Finding(PREFLIGHT, Level.OK, f"{', '.join(METHODS)} and {len(FIELDS)} fields are allowed")


def _judge(check: str, answer: Answer, origin: str) -> Finding:
    if trouble := _trouble_with_origin(answer, origin):
        return Finding(check, Level.FAIL, f"{answer.status}: {trouble}", _ONE_HOME)
    missing = EXPOSED - answer.words("access-control-expose-headers")
    if missing:
        found = f"{answer.status}: scripts cannot read {', '.join(sorted(missing))}"
        return Finding(check, Level.FAIL, found, _ONE_HOME)
    return Finding(
        check, Level.OK, f"{answer.status}: scripts can read Location, Upload-Offset and what else they need"
    )


def _trouble_with_origin(answer: Answer, origin: str) -> str:
    allowed = answer.all(_ALLOWED)
    if len(allowed) > 1:
        return f"Access-Control-Allow-Origin is there {len(allowed)} times, browsers refuse that"
    if allowed and allowed[0] in {"*", origin}:
        return ""
    return f"Access-Control-Allow-Origin is {allowed[0]}" if allowed else "Access-Control-Allow-Origin is missing"
