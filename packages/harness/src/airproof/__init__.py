"""Airproof: brings an event-driven platform up, breaks it on purpose and judges what happened."""
