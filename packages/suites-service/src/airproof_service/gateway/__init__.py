"""Who gets what through the gateway, and what it says when a service behind it fails."""
