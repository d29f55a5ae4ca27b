"""How the saga-orchestrator stores and sends."""
