"""The REST API `/api/v1`: finished files, uploads in progress, deletion analytics."""
