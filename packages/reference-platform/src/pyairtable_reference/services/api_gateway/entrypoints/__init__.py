"""How the api-gateway is reached."""
