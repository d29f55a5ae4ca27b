"""The user-service."""
