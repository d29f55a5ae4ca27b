"""The api-gateway."""
