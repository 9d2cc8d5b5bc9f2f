"""Engine, models, encrypted columns and migrations."""

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bolt_app.db.encryption import Cipher, DecryptionError
from bolt_app.db.engine import Database
from bolt_app.db.prepared import PreparedSelect

# What SQLAlchemy raises when the database does not answer; everything else of its is our mistake.
DATABASE_UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeoutError)

__all__ = ["DATABASE_UNAVAILABLE", "Cipher", "Database", "DecryptionError", "PreparedSelect"]
