"""Fixtures for stored tokens, shared with the tests of installations."""

from tests.installations.conftest import slack as slack
from tests.installations.conftest import tokens as tokens
