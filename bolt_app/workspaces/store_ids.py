"""The type of the function that replaces stored names by ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

# The workspace, and the ids by `#name` or `@e-mail`.
StoreIds = Callable[[Session, str, Mapping[str, str]], None]
