"""What the notification-service is about, free of technology."""
