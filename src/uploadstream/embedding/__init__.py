"""The service as a library: an ASGI application inside another one."""
