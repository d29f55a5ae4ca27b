"""The permission-service."""
