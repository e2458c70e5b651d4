"""The road from each schema to the next, which on PostgreSQL is gone while the service goes on (online.py)."""
