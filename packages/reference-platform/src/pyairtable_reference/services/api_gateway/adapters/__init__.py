"""How the api-gateway stores and sends."""
