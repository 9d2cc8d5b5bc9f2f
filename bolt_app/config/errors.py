"""Errors of settings."""

from __future__ import annotations


class ConfigError(Exception):
    """Settings are missing or malformed; `problems` has one message for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
