"""How an upload can be continued: over any protocol, whichever it was begun with.

The fields of the others are spelled here once more, because no protocol knows another; tests/interop/test_ways.py does
word for word what is said here, at a running server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from uploadstream.core.session import Session, State
from uploadstream.http.addresses import address
from uploadstream.protocols.rest.spellings import WayOut

CHUNK = "application/offset+octet-stream"


def write_ways(session: Session, *, scope: Mapping[str, Any], host: str | None, grpc_port: int | None) -> list[WayOut]:
    """What to send next over each protocol, to `host`, mounted as in `scope`; nothing once it is complete."""
    if session.state is not State.OPEN:
        return []
    offset, here = str(session.offset), address(scope, f"/files/{session.id}")
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": offset, "Content-Type": CHUNK}
    ietf = {"Upload-Complete": "?1", "Upload-Offset": offset, "Content-Type": "application/partial-upload"}
    ways = [
        WayOut(protocol="tus", method="PATCH", url=here, headers=tus),
        WayOut(protocol="ietf", method="PATCH", url=here, headers=ietf),
    ]
    if session.length is not None:  # which FilePond says in every request
        filepond = {
            "Upload-Offset": offset,
            "Upload-Length": str(session.length),
            "Upload-Name": quote(session.declared.filename),
            "Content-Type": CHUNK,
        }
        url = address(scope, f"/filepond?patch={session.id}")
        ways.append(WayOut(protocol="filepond", method="PATCH", url=url, headers=filepond))
    if grpc_port is not None:
        ways.append(
            WayOut(
                protocol="grpc",
                method="fileservice.v1.FileService/UploadFile",
                url=f"grpc://{host}:{grpc_port}",
                headers={},
                message={"metadata": {"uploadId": session.id, "offset": offset}},
            )
        )
    return ways
