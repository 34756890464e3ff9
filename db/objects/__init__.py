"""Bytes: the object store's port and its S3 adapter."""
