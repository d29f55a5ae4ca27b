"""What Airproof costs: `nox -s bench`."""
