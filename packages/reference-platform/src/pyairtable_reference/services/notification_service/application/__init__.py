"""The use cases of the notification-service."""
