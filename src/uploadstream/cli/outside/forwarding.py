"""Whether the service knows under which address it is asked, and whether its answers name that."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin, urlsplit

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.deployment import TUS, Deployment, Upload, origin_of
from uploadstream.cli.outside.directives import Trouble, what_to_set

LOCATION: Final = "Location"
FORWARDED: Final = "forwarded address"

_REDIRECTED: Final = "/api/v1/files/"


def check_addresses(there: Deployment) -> Iterator[Finding]:
    """Where answers send their clients: to an upload, and by a redirect, which has to name host and scheme."""
    with there.upload(1) as upload:
        yield _judge_location(there, upload)
        yield _judge_forwarded(there, _grpc_host(there, upload))


def _judge_location(there: Deployment, upload: Upload) -> Finding:
    found = f"an upload is said to be at {upload.location}"
    if trouble := _trouble_with(upload.url, there.url):
        return Finding(LOCATION, Level.FAIL, found, what_to_set(trouble, there.server))
    if not urlsplit(upload.url).path.startswith(f"{there.address.path}/"):
        advice = f"hand requests on with their whole path, and serve UploadStream below {there.address.path} there too"
        return Finding(LOCATION, Level.FAIL, f"{found}, which is not below {there.address.path}", advice)
    answer = there.ask("HEAD", upload.path, TUS)
    if not answer.get("upload-offset"):
        found = f"{found}, and HEAD there is answered {answer.status} without Upload-Offset"
        return Finding(LOCATION, Level.FAIL, found, "let HEAD and every field through")
    return Finding(LOCATION, Level.OK, found)


def _trouble_with(said: str, asked: str) -> Trouble | None:
    """What a proxy must have left out, if an answer leads elsewhere than where it was asked for."""
    scheme, host, port = origin_of(said)
    if (scheme, host, port) == origin_of(asked):
        return None
    asked_scheme, asked_host, _ = origin_of(asked)
    return Trouble.FORGETS_SCHEME if host == asked_host and scheme != asked_scheme else Trouble.FORGETS_HOST


def _grpc_host(there: Deployment, upload: Upload) -> str:
    """The host that the service thinks it is asked by; empty where it does not say."""
    ways = there.json(f"/api/v1/uploads/{upload.id}").get("ways", [])
    return next((urlsplit(way["url"]).hostname or "" for way in ways if way["protocol"] == "grpc"), "")


def _judge_forwarded(there: Deployment, host: str) -> Finding:
    if host and host.lower() != there.address.host.lower():
        found = f"asked by {there.address.host}, UploadStream thinks that it is {host}"
        return Finding(FORWARDED, Level.FAIL, found, what_to_set(Trouble.FORGETS_HOST, there.server))
    answer = there.ask("GET", _REDIRECTED)
    location = urljoin(f"{there.url}{_REDIRECTED}", answer.get("location"))
    if answer.status not in {HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT}:
        return Finding(FORWARDED, Level.OK, f"the host {there.address.host} reaches UploadStream")
    found = f"{_REDIRECTED} redirects to {location}"
    if trouble := _trouble_with(location, there.url):
        advice = what_to_set(trouble, there.server)
        if trouble is Trouble.FORGETS_SCHEME:
            advice += "; if the proxy is on another machine, FORWARDED_ALLOW_IPS=ITS_ADDRESS for UploadStream"
        return Finding(FORWARDED, Level.FAIL, found, advice)
    return Finding(FORWARDED, Level.OK, f"host and scheme reach UploadStream: {found}")
