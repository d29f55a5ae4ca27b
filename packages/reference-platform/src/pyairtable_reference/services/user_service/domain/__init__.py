"""What the user-service is about, free of technology."""
