"""What the api-gateway is about, free of technology."""
