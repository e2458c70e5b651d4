"""Whether the service knows under which name it is asked, and whether uploads are where they are said to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from uploadstream.cli.findings import Finding, Level
from uploadstream.cli.outside.deployment import TUS, Deployment, Upload, origin_of
from uploadstream.cli.outside.directives import Trouble, what_to_set

LOCATION: Final = "Location"
FORWARDED: Final = "forwarded host"


def check_addresses(there: Deployment) -> Iterator[Finding]:
    """Where answers send their clients: to an upload, and to gRPC on the same host."""
    with there.upload(1) as upload:
        yield _judge_location(there, upload)
        yield _judge_forwarded(there, _grpc_host(there, upload))


def _judge_location(there: Deployment, upload: Upload) -> Finding:
    found = f"an upload is said to be at {upload.location}"
    if origin_of(upload.url) != origin_of(there.url):
        return Finding(LOCATION, Level.FAIL, found, what_to_set(Trouble.REWRITES_LOCATION, there.server))
    if not urlsplit(upload.url).path.startswith(f"{there.address.path}/"):
        advice = f"hand requests on with their whole path, and serve UploadStream below {there.address.path} there too"
        return Finding(LOCATION, Level.FAIL, f"{found}, which is not below {there.address.path}", advice)
    answer = there.ask("HEAD", upload.path, TUS)
    if not answer.get("upload-offset"):
        found = f"{found}, and HEAD there is answered {answer.status} without Upload-Offset"
        return Finding(LOCATION, Level.FAIL, found, "let HEAD and every field through")
    return Finding(LOCATION, Level.OK, found)


def _grpc_host(there: Deployment, upload: Upload) -> str:
    """The host that the service thinks it is asked by; empty where it does not say."""
    ways = there.json(f"/api/v1/uploads/{upload.id}").get("ways", [])
    return next((urlsplit(way["url"]).hostname or "" for way in ways if way["protocol"] == "grpc"), "")


def _judge_forwarded(there: Deployment, host: str) -> Finding:
    if host and host.lower() != there.address.host.lower():
        found = f"asked by {there.address.host}, UploadStream thinks that it is {host}"
        return Finding(FORWARDED, Level.FAIL, found, what_to_set(Trouble.FORGETS_HOST, there.server))
    return Finding(FORWARDED, Level.OK, f"the name {there.address.host} reaches UploadStream")
