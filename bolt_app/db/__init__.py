"""The database: engine, models, encrypted columns and migrations."""

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bolt_app.db.encryption import Cipher, DecryptionError
from bolt_app.db.engine import Database
from bolt_app.db.prepared import PreparedSelect

# SQLAlchemy's errors for a database that does not answer; its other errors are programming errors.
DATABASE_UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeoutError)

__all__ = ["DATABASE_UNAVAILABLE", "Cipher", "Database", "DecryptionError", "PreparedSelect"]
