"""How the user-service is reached."""
