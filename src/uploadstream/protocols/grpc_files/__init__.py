"""The gRPC service fileservice.v1.FileService."""
