"""A durable saga engine: a pure state machine, its storage, and the use cases that drive it."""
