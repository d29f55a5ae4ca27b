"""The workspace-service."""
