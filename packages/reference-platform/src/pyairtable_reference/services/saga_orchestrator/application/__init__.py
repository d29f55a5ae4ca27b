"""The use cases of the saga-orchestrator."""
