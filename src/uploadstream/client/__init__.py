"""The Python client: uploads and downloads that continue after a cut, over gRPC or HTTP, async and sync."""
