"""How the auth-service is reached."""
