"""fileservice.v1.FileService: its methods, connected to the engine, whatever carries them.

A refusal leaves a method as it was raised; the server that
carries the service turns it into a status (errors.py).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from uploadstream.core.access import Caller
from uploadstream.core.listings import Wanted
from uploadstream.core.session import Declared, Session
from uploadstream.core.sizes import KIB
from uploadstream.engine.downloads import Downloads
from uploadstream.engine.files import Files
from uploadstream.engine.uploads import Uploaded, Uploads
from uploadstream.engine.watch import Incoming, Pour
from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb
from uploadstream.protocols.grpc_files import messages
from uploadstream.protocols.grpc_files.messages import Peer
from uploadstream.protocols.grpc_files.wire import write_chunk

# Of the server's CPU, 256 KiB take a third more; 1 MiB a tenth less, for twice the memory of a slow reader.
PIECE_SIZE: Final = 512 * KIB


class FileService:
    """The service's methods."""

    def __init__(self, uploads: Uploads, downloads: Downloads, files: Files) -> None:
        self._uploads = uploads
        self._downloads = downloads
        self._files = files

    @property
    def chunk_size_max(self) -> int:
        """How many bytes one message may bring."""
        return self._uploads.limits.chunk_size_max

    async def upload_file(self, metadata: pb.FileMetadata, peer: Peer, pour: Pour) -> pb.UploadFileResponse:
        """Take a whole file, all or nothing; or continue an upload, whose bytes are kept."""
        if not metadata.upload_id:
            declared, caller = self._read_new(metadata, peer)
            return messages.write_stored(await self._uploads.store_whole(declared, caller, pour))
        caller = messages.read_caller(peer, metadata.user_id)
        at, length = messages.read_offset(metadata), messages.read_length(metadata)
        if metadata.filename or metadata.content_type:
            found = await self._uploads.status(metadata.upload_id, caller)
            found.session.check_agrees(filename=metadata.filename, content_type=metadata.content_type, length=length)
        incoming = Incoming(pour, at=at, length=length)
        return messages.write_uploaded(await self._uploads.append(metadata.upload_id, caller, incoming))

    async def download_file(self, request: pb.DownloadFileRequest, peer: Peer) -> AsyncGenerator[bytes, None]:
        """The messages of a download: info, then chunks."""
        caller = messages.read_caller(peer)
        session = await self._in_progress(request.file_id, caller) if request.follow else None
        if session is None:
            file = await self._downloads.open(request.file_id, caller)
            start, stop = messages.read_span(request, size=file.size)
            await self._downloads.begin(file, caller, start=start, count=stop - start)
            info = messages.write_info(file)
            pieces = self._downloads.read(file, start=start, stop=stop, piece_size=PIECE_SIZE)
        else:
            size = session.size_max if session.length is None else session.length
            start, stop = messages.read_span(request, size=size)
            info = messages.write_info_so_far(session)
            # without a length the end is the file's: that of the upload is not enough, it may yet be refused
            end = stop if request.length else None
            await self._downloads.begin(session, caller, start=start, count=None if end is None else end - start)
            pieces = self._downloads.follow(session.id, caller, start=start, stop=end, piece_size=PIECE_SIZE)
        yield pb.DownloadFileResponse(info=info).SerializeToString()
        async for piece in pieces:
            message = write_chunk(piece)
            del piece  # a slow reader is not to hold it twice
            yield message

    async def get_file_metadata(self, request: pb.GetFileMetadataRequest, peer: Peer) -> pb.GetFileMetadataResponse:
        """Everything about a file."""
        return messages.write_description(await self._files.describe(request.file_id, messages.read_caller(peer)))

    async def list_files(self, request: pb.ListFilesRequest, peer: Peer) -> pb.ListFilesResponse:
        """A page of a user's files, or of its trash."""
        page = await self._files.list(
            messages.read_caller(peer, request.user_id),
            Wanted(deleted=request.deleted),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListFilesResponse(files=map(messages.write_entry, page.rows), next_page_token=page.next_token)

    async def delete_file(self, request: pb.DeleteFileRequest, peer: Peer) -> pb.DeleteFileResponse:
        """Put a file in the trash."""
        file = await self._files.delete(request.file_id, messages.read_caller(peer, request.user_id))
        return pb.DeleteFileResponse(success=True, message=f"File {file.id} is in the trash")

    async def restore_file(self, request: pb.RestoreFileRequest, peer: Peer) -> pb.RestoreFileResponse:
        """Take a file out of the trash."""
        file = await self._files.restore(request.file_id, messages.read_caller(peer, request.user_id))
        return pb.RestoreFileResponse(success=True, message=f"File {file.id} is restored")

    async def create_upload(self, request: pb.CreateUploadRequest, peer: Peer) -> pb.UploadStatus:
        """Begin an upload that can be continued."""
        declared, caller = self._read_new(request.metadata, peer)
        return self._status(await self._uploads.create(declared, caller))

    async def get_upload_status(self, request: pb.GetUploadStatusRequest, peer: Peer) -> pb.UploadStatus:
        """How far an upload is."""
        return self._status(await self._uploads.standing(request.upload_id, messages.read_caller(peer)))

    async def abort_upload(self, request: pb.AbortUploadRequest, peer: Peer) -> pb.AbortUploadResponse:
        """End an upload; one that is complete goes to the trash."""
        await self._uploads.abort(request.upload_id, messages.read_caller(peer))
        return pb.AbortUploadResponse(success=True, message=f"Upload {request.upload_id} has ended")

    async def list_uploads(self, request: pb.ListUploadsRequest, peer: Peer) -> pb.ListUploadsResponse:
        """A page of a user's open uploads."""
        page = await self._uploads.list(
            messages.read_caller(peer, request.user_id), page_size=request.page_size, page_token=request.page_token
        )
        rows = [self._status(Uploaded(session)) for session in page.rows]
        return pb.ListUploadsResponse(uploads=rows, next_page_token=page.next_token)

    async def list_audit(self, request: pb.ListAuditRequest, peer: Peer) -> pb.ListAuditResponse:
        """A page of what happened to an upload or file."""
        page = await self._files.audit(
            request.file_id,
            messages.read_caller(peer, request.user_id),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListAuditResponse(audit=map(messages.write_audit, page.rows), next_page_token=page.next_token)

    async def get_deletion_stats(self, request: pb.GetDeletionStatsRequest, peer: Peer) -> pb.GetDeletionStatsResponse:
        """Deletion analytics of a user."""
        return messages.write_stats(await self._files.deletion_stats(messages.read_caller(peer, request.user_id)))

    def _read_new(self, metadata: pb.FileMetadata, peer: Peer) -> tuple[Declared, Caller]:
        declared = messages.read_declared(metadata, size_max=self._uploads.limits.file_size_max)
        return declared, messages.read_caller(peer, declared.user_id)

    def _status(self, uploaded: Uploaded) -> pb.UploadStatus:
        return messages.write_upload(uploaded, self._uploads.expires_at(uploaded.session))

    async def _in_progress(self, file_id: str, caller: Caller) -> Session | None:
        """The upload that may become the file; None if it has."""
        found = await self._downloads.open_or_follow(file_id, caller)
        return found.session if found.file is None else None
