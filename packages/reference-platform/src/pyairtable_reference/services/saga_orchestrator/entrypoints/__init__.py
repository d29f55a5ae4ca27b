"""How the saga-orchestrator is reached."""
