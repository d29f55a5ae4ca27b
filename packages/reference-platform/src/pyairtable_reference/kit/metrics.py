"""What every service counts."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

PUBLISHED = Counter("pyairtable_messages_published", "Messages the broker has acknowledged", ["kind"])
HANDLED = Counter("pyairtable_messages_handled", "Messages handled to the end", ["topic"])
RETRIED = Counter("pyairtable_messages_retried", "Attempts at a message that failed and were repeated", ["topic"])
DEAD_LETTERS = Counter("pyairtable_dead_letters", "Messages given up", ["side"])
COMMANDS = Counter("pyairtable_commands", "Commands answered", ["step", "action", "outcome"])
CACHE_READS = Counter("pyairtable_cache_reads", "Reads of a cache: hit, miss or cache away", ["cache", "outcome"])
SAGAS = Counter("pyairtable_sagas", "Sagas that reached a state", ["saga_type", "state"])
REQUESTS = Counter("pyairtable_http_requests", "HTTP requests answered", ["method", "status"])
REQUEST_SECONDS = Histogram("pyairtable_http_request_seconds", "Duration of HTTP requests", ["method"])
