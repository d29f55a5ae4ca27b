"""The use cases of the api-gateway."""
