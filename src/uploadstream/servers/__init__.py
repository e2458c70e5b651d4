"""Sockets: the HTTP and gRPC servers and the processes that hold them."""
