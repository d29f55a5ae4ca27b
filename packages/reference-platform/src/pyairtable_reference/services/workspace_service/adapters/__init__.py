"""How the workspace-service stores and sends."""
