"""The PyAirtable reference platform: services that implement the patterns of event-driven systems correctly."""
