"""For all tests of the harness: an example of Hypothesis may take long, because the machine may be busy."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
