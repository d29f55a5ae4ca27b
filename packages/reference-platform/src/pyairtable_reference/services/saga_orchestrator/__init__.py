"""The saga-orchestrator."""
