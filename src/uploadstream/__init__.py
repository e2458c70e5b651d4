"""UploadStream: files of any size up and down, resumable, over gRPC and HTTP, on one engine."""

from importlib import import_module

# Loaded when they are asked for: the server starts without the client, and a client without the server. Their types
# are in __init__.pyi, so that no module here imports the client by importing its own package.
_HOMES = {
    "AsyncClient": "client.asynchronous",
    "AuditEntry": "client.values",
    "Client": "client.synchronous",
    "DeletionStats": "client.values",
    "FileInfo": "client.values",
    "Forbidden": "core.access",
    "NewUpload": "embedding.hooks",
    "Progress": "client.values",
    "Step": "client.values",
    "StoredFile": "embedding.hooks",
    "Unauthenticated": "core.access",
    "UploadError": "client.errors",
    "UploadInfo": "client.values",
    "UploadStream": "embedding.application",
}


def __getattr__(name: str) -> object:
    """One of the public names."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What can be asked for."""
    return sorted(_HOMES)
