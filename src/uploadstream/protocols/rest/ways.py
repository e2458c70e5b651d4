"""How an upload can be continued: over any protocol, whichever it was begun with."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request

from uploadstream.core.session import Session, State
from uploadstream.http.addresses import address
from uploadstream.protocols.rest.spellings import WayOut

CHUNK = "application/offset+octet-stream"


def write_ways(request: Request, session: Session, *, grpc_port: int | None) -> list[WayOut]:
    """What to send next over each protocol; nothing for an upload that is complete."""
    if session.state is not State.OPEN:
        return []
    offset, here = str(session.offset), address(request.scope, f"/files/{session.id}")
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
        url = address(request.scope, f"/filepond?patch={session.id}")
        ways.append(WayOut(protocol="filepond", method="PATCH", url=url, headers=filepond))
    if grpc_port is not None:
        ways.append(
            WayOut(
                protocol="grpc",
                method="fileservice.v1.FileService/UploadFile",
                url=f"grpc://{request.url.hostname}:{grpc_port}",
                headers={},
                message={"metadata": {"uploadId": session.id, "offset": offset}},
            )
        )
    return ways
