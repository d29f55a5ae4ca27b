"""How the user-service stores and sends."""
