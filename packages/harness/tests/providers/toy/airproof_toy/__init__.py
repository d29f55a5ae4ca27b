"""The smallest platform a provider can bring up: one stateful service, one stateless one, one table, two topics."""
