"""Scenarios of service integration for any platform with a driver."""
