"""The use cases of the permission-service."""
