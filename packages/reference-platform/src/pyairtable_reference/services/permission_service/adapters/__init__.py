"""How the permission-service stores and sends."""
