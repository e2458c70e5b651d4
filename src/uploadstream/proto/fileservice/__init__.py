"""The package fileservice of the gRPC service."""
