"""Stored data damaged from outside: rows of PostgreSQL, keys of Redis, records of Kafka; put back where that can be."""
