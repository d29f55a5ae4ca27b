"""End-to-end scenarios, generated from the manifest of the platform they run against."""
