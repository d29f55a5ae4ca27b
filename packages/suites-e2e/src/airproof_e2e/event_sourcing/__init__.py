"""What the event streams of entities promise."""
