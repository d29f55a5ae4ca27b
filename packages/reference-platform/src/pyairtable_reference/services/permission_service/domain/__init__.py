"""What the permission-service is about, free of technology."""
