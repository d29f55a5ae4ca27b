"""What the workspace-service is about, free of technology."""
