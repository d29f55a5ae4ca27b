"""How the workspace-service is reached."""
