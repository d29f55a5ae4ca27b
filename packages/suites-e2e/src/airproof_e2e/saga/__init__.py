"""The fault matrix of sagas."""
