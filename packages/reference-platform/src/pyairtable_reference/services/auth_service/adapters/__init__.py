"""How the auth-service stores and sends."""
