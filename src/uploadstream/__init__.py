"""UploadStream: files of any size up and down, resumable, over gRPC and HTTP, on one engine."""
