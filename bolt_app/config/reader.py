"""Reading of settings, one by one; their problems are collected and reported together."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from bolt_app.config.errors import ConfigError

# An unknown name at least this similar to a setting counts as misspelled (`difflib` ratio).
LIKENESS = 0.85
# Settings that may be read from a file (a Docker or Kubernetes secret): NAME_FILE names it.
SECRET_NAMES = (
    "SLACK_CLIENT_SECRET",
    "SLACK_SIGNING_SECRET",
    "DATABASE_URL",
    "DATABASE_SESSION_URL",
    "ENCRYPTION_KEYS",
    "SESSION_SECRET",
)


class SettingReader:
    """Reads values and collects their problems."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []
        self._known: set[str] = set()

    def problem(self, sentence: str) -> None:
        """Add a problem."""
        self._problems.append(sentence)

    def misspelt(self) -> None:
        """Report names similar to an unset setting. Call it after every setting is read.

        Similarity to a setting that is set does not count, because the environment also has names
        of other programs.
        """
        unset = [name for name in sorted(self._known) if not self._environ.get(name, "").strip()]
        for name in sorted(self._environ.keys() - self._known):
            nearest = get_close_matches(name, unset, 1, LIKENESS)
            if nearest:
                self.problem(
                    f"{name} is not a setting of Bellhop: did you mean {nearest[0]}? Rename or "
                    "remove it."
                )

    def finish(self) -> None:
        """Check that no value was missing or malformed.

        Raises:
            ConfigError: some were.
        """
        if self._problems:
            raise ConfigError(self._problems)

    def text(self, name: str) -> str:
        """Return a setting's value, from its file if one is named; empty if it is not set."""
        self._known.update([name, f"{name}_FILE"] if name in SECRET_NAMES else [name])
        value = self._environ.get(name, "").strip()
        path = self._environ.get(f"{name}_FILE", "").strip()
        if value or not path or name not in SECRET_NAMES:
            return value
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.problem(f"{name}_FILE names a file that cannot be read ({error}): check the path.")
            return ""

    def parts(self, name: str) -> list[str]:
        """Return the values in a list separated by commas."""
        return split_list(self.text(name))

    def credential(self, name: str, place: str) -> str:
        """Return a required value from the Slack app's page."""
        value = self.text(name)
        if not value:
            self.problem(
                f"{name} is required: copy it from your app's page at https://api.slack.com/apps "
                f"(Basic Information → {place}) into .env."
            )
        return value

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number in a range."""
        value = self.text(name)
        if not value:
            return default
        if value.isascii() and value.isdigit() and least <= int(value) <= most:
            return int(value)
        self.problem(f"{name} is {value!r}: use a whole number from {least} to {most}.")
        return default

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """Return one of some words, in any case."""
        value = self.text(name) or default
        for choice in choices:
            if value.lower() == choice.lower():
                return choice
        self.problem(f"{name} is {value!r}: choose one of {', '.join(choices)}.")
        return default


def split_list(value: str) -> list[str]:
    """Return the values in a list separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()]
