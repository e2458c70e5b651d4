"""The server side of FilePond's protocol (pqina.nl/filepond)."""
