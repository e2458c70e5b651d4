"""Resumable uploads over HTTP as the IETF drafts have them, and whole bodies of clients that know no such thing."""
