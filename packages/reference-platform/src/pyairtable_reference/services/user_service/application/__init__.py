"""The use cases of the user-service."""
