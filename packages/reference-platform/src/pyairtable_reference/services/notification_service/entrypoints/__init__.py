"""How the notification-service is reached."""
