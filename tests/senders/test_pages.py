"""Pages of senders whose users write the body: what the pages say to paste is understood."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bolt_app.senders.bodies import recognize
from tests.senders.fixtures import fixtures

DOCS = Path(__file__).parent.parent.parent / "docs" / "senders"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str, language: str) -> list[str]:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    return [text for kind, text in _BLOCK.findall(page) if kind == language]


def names(value: Any, path: str = "") -> set[str]:
    """Return the names in a body, with the path to each."""
    if not isinstance(value, dict):
        return {path}
    return {found for name, item in value.items() for found in names(item, f"{path}/{name}")}


def argo_cd_body() -> str:
    """Return the body that Argo CD writes, with each expression of its template replaced."""
    [text] = blocks("argo-cd", "yaml")
    template = yaml.safe_load(yaml.safe_load(text)["data"]["template.bellhop"])
    written = re.sub(r"{{toJson [^{}]*}}", '"x"', template["webhook"]["bellhop"]["body"])
    return re.sub(r"{{[^{}]*}}", "x", written)


def healthchecks_body() -> str:
    """Return the body that Healthchecks writes, with the placeholder that is JSON replaced."""
    [text] = blocks("healthchecks", "text")
    return text.replace("$NAME_JSON", '"x"')


@pytest.mark.parametrize(
    ("sender", "body"),
    [
        ("argo-cd", argo_cd_body()),
        ("datadog", blocks("datadog", "json")[0]),
        ("healthchecks", healthchecks_body()),
    ],
)
def test_the_body_of_a_page_is_recognized_and_has_the_recorded_members(
    sender: str, body: str
) -> None:
    pasted = json.loads(body)

    assert recognize({}, pasted) == sender
    recorded = {name for one in fixtures(sender) for name in names(one.body)}
    assert names(pasted) <= recorded


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_yaml_and_json_of_a_page_can_be_read(path: Path) -> None:
    for text in blocks(path.stem, "yaml"):
        assert list(yaml.safe_load_all(text))
    for text in blocks(path.stem, "json"):
        assert json.loads(text)


def test_the_parameters_of_zabbix_are_the_recorded_members() -> None:
    page = (DOCS / "zabbix.md").read_text(encoding="utf-8")
    parameters = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))

    recorded = next(fixtures("zabbix")).body["zabbix"]
    assert parameters == {*recorded, "link"}
