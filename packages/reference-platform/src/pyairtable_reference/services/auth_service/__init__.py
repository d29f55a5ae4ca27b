"""The auth-service."""
