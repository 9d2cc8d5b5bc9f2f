"""The README: its list of Web API methods."""

from __future__ import annotations

import re
from pathlib import Path

import slack_sandbox
from slack_sandbox.web_api import METHODS


def test_the_readme_lists_every_method() -> None:
    readme = (Path(slack_sandbox.__file__).parent / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Web API methods")[1].split("## ")[0]

    listed = re.findall(
        r"^- \[`([\w.]+)`\]\(https://docs\.slack\.dev/\S+/([\w.]+)\)$", section, re.M
    )

    assert listed == [(name, name) for name in sorted(METHODS)]
