"""Statements with any number of values have one parameter for them, with `is_any_of`.

`IN` has a parameter for each value, and PostgreSQL accepts no statement with more than 65,535: a
change that meets so many rows would fail each time that it is repeated.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import bolt_app
from tests.sources import parsed

PACKAGE = Path(bolt_app.__file__).parent
SUBQUERIES = {"select", "union", "union_all"}
# Collections whose size does not grow with the number of rows, and what bounds it.
BOUNDED = {
    "credentials/webhooks.py": {"Webhook.sender.in_(senders)": "the known senders"},
    "notifications/digests/release.py": {
        "Delivery.key.in_(bindparam('keys', expanding=True))": "MOST_AT_ONCE",
        "Notification.id.in_(bindparam('ids', expanding=True))": "MOST_AT_ONCE",
    },
    "notifications/history/retention.py": {
        "Incident.key.in_(keys)": "INCIDENT_BATCH_SIZE",
        "Notification.id.in_(ids)": "BATCH_SIZE",
    },
    "notifications/history/routes.py": {
        "Delivery.notification_id.in_(ids)": "a page",
        "Notification.id.in_(ids)": "a page",
    },
    "notifications/history/service.py": {
        "Delivery.id.in_(chunk)": "_CHUNK",
        "Delivery.id.in_(ids)": "_CHUNK",
        "Delivery.notification_id.in_(chunk)": "_CHUNK",
        "Notification.id.in_(chunk)": "_CHUNK",
        "Notification.id.in_(fitting)": "a page",
    },
    "notifications/history/store.py": {
        "Delivery.notification_id.in_(ids)": "a page",
        "Delivery.notification_id.in_(notification_ids)": "a page",
        "Notification.id.in_([row.id for row in rows])": "a page",
        "Notification.id.in_(ids)": "a page",
    },
    "notifications/incidents/messages.py": {
        "Delivery.mode.in_(modes)": "the modes",
        "Lane.address.in_(clicked.addresses)": "two",
    },
    "notifications/subscriptions/routing.py": {
        "Delivery.state.in_(bindparam('states', expanding=True))": "the states",
        "Subscription.topic.in_(bindparam('patterns', expanding=True))": "MOST_PATTERNS",
    },
    "profiles/service.py": {
        "User.id.in_(ids)": "two",
        "User.person_id.in_(people)": "two",
    },
    "workspaces/channels.py": {"Channel.is_private.in_(kinds)": "two"},
}


def in_conditions(
    node: ast.AST, scopes: list[ast.AST]
) -> Iterator[tuple[str, ast.expr, list[ast.AST]]]:
    """Yield each condition with `IN`, its values, and the functions and module that it is in."""
    if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
        scopes = [node, *scopes]
    match node:
        case ast.Call(func=ast.Attribute(attr="in_" | "not_in"), args=[values]):
            yield ast.unparse(node), values, scopes
    for child in ast.iter_child_nodes(node):
        yield from in_conditions(child, scopes)


def is_constant(values: ast.expr, scopes: list[ast.AST]) -> bool:
    """Whether values are a subquery, a constant, or a display of a fixed length."""
    match values:
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            starred = [item.value for item in items if isinstance(item, ast.Starred)]
            return all(is_constant(item, scopes) for item in starred)
        case ast.Name(id=name) if name.isupper():
            return True
        case _:
            return is_subquery(values, scopes)


def is_subquery(value: ast.expr, scopes: list[ast.AST]) -> bool:
    """Whether an expression is a chain of calls that begins with `select` or the like."""
    while isinstance(value, ast.Call | ast.Attribute):
        value = value.func if isinstance(value, ast.Call) else value.value
    if not isinstance(value, ast.Name):
        return False
    if value.id in SUBQUERIES:
        return True
    assigned = next(filter(None, (_assigned(value.id, scope) for scope in scopes)), [])
    return bool(assigned) and all(is_subquery(one, scopes) for one in assigned)


def _assigned(name: str, scope: ast.AST) -> list[ast.expr]:
    """Return what is assigned to a name, if that is not the name itself with more conditions."""
    return [
        node.value
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == name
        and not ast.unparse(node.value).startswith(f"{name}.")
    ]


def unbounded_in(path: Path) -> set[str]:
    """Return the conditions of a module that have a parameter for each of some values."""
    return {
        condition
        for condition, values, scopes in in_conditions(parsed(path), [])
        if not is_constant(values, scopes)
    }


def test_only_bounded_collections_have_a_parameter_for_each_value() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): conditions
        for path in PACKAGE.rglob("*.py")
        if "migrations" not in path.parts and (conditions := unbounded_in(path))
    }

    assert found == {path: set(conditions) for path, conditions in BOUNDED.items()}
