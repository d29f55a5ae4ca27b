"""Seeded defects of the reference platform, and the proof that the suites catch them."""
