"""What the services of the platform share."""
