"""UploadStream: files of any size up and down, resumable, over gRPC and HTTP, on one engine."""

from importlib import import_module

# Loaded when they are asked for: the server starts without the client, and a client without the server. Their types
# are in __init__.pyi, so that no module here imports the client by importing its own package.
_HOMES = {
    "AsyncClient": "asynchronous",
    "AuditEntry": "values",
    "Client": "synchronous",
    "DeletionStats": "values",
    "FileInfo": "values",
    "Progress": "values",
    "Step": "values",
    "UploadError": "errors",
    "UploadInfo": "values",
}


def __getattr__(name: str) -> object:
    """One of the client's names."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.client.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What can be asked for."""
    return sorted(_HOMES)
