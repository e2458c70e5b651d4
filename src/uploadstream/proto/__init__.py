"""Messages and stubs of the gRPC service, written by scripts/generate-proto."""
