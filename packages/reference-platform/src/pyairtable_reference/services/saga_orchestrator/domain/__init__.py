"""What the saga-orchestrator is about, free of technology."""
