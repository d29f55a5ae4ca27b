"""What the auth-service is about, free of technology."""
