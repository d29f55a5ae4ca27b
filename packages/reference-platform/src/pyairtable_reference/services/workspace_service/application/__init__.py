"""The use cases of the workspace-service."""
