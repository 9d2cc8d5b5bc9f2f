"""The type of the function that replaces names by ids wherever a name was stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

# The workspace, and the ids by `#name` or `@e-mail`.
StoreIds = Callable[[Session, str, Mapping[str, str]], None]
