"""How the permission-service is reached."""
