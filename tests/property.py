"""The number of examples of property tests: the profile's, or a share of it."""

from __future__ import annotations

from hypothesis import settings

DEFAULT_EXAMPLES = 30
LONG_EXAMPLES = 150
# The profile for which tests state their number of examples.
STATED_EXAMPLES = 100


def register_profiles() -> None:
    """Register `bellhop`, the default, and `long`, for `--hypothesis-profile=long`."""
    # The duration of an example depends on the load of the machine.
    settings.register_profile("bellhop", deadline=None, max_examples=DEFAULT_EXAMPLES)
    settings.register_profile("long", deadline=None, max_examples=LONG_EXAMPLES)
    settings.load_profile("bellhop")


def examples(number: int) -> int:
    """Return the number of examples of the profile, for a test that states it for 100."""
    profile = settings.default
    assert profile is not None
    return max(1, number * profile.max_examples // STATED_EXAMPLES)
