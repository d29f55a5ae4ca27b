"""The notification-service."""
