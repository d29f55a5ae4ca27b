"""The way to and from the bus."""
