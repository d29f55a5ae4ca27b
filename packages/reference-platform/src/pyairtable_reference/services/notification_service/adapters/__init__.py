"""How the notification-service stores and sends."""
