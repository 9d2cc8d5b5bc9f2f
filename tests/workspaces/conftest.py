"""The installed tokens of tests/installations, for calls with them."""

from tests.installations.conftest import slack, tokens

__all__ = ["slack", "tokens"]
