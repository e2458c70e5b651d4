from grpc import aio

from uploadstream.proto.fileservice.v1 import file_service_pb2 as _pb2

class FileServiceStub:
    def __init__(self, channel: aio.Channel) -> None: ...
    UploadFile: aio.StreamUnaryMultiCallable[_pb2.UploadFileRequest, _pb2.UploadFileResponse]
    DownloadFile: aio.UnaryStreamMultiCallable[_pb2.DownloadFileRequest, _pb2.DownloadFileResponse]
    GetFileMetadata: aio.UnaryUnaryMultiCallable[_pb2.GetFileMetadataRequest, _pb2.GetFileMetadataResponse]
    ListFiles: aio.UnaryUnaryMultiCallable[_pb2.ListFilesRequest, _pb2.ListFilesResponse]
    DeleteFile: aio.UnaryUnaryMultiCallable[_pb2.DeleteFileRequest, _pb2.DeleteFileResponse]
    RestoreFile: aio.UnaryUnaryMultiCallable[_pb2.RestoreFileRequest, _pb2.RestoreFileResponse]
    CreateUpload: aio.UnaryUnaryMultiCallable[_pb2.CreateUploadRequest, _pb2.UploadStatus]
    GetUploadStatus: aio.UnaryUnaryMultiCallable[_pb2.GetUploadStatusRequest, _pb2.UploadStatus]
    AbortUpload: aio.UnaryUnaryMultiCallable[_pb2.AbortUploadRequest, _pb2.AbortUploadResponse]
    ListUploads: aio.UnaryUnaryMultiCallable[_pb2.ListUploadsRequest, _pb2.ListUploadsResponse]
    ListAudit: aio.UnaryUnaryMultiCallable[_pb2.ListAuditRequest, _pb2.ListAuditResponse]
    GetDeletionStats: aio.UnaryUnaryMultiCallable[_pb2.GetDeletionStatsRequest, _pb2.GetDeletionStatsResponse]
