"""The road from each schema to the next."""
