"""What PostgreSQL and its client library complain about, translated into the two errors that the rest of the house knows.

Every text here may end in a log. So it holds the SQLSTATE, the name of the condition and names out of the schema, and never a value: the
server puts values into DETAIL and CONTEXT ("Key (phone)=(…) already exists") and, for class 22 and P0, into the message itself. For the
same reason no error of psycopg is chained: its text is everything the server said.
"""

from psycopg import errors as psycopg_errors
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from gateway.errors import StoreRejected, StoreUnavailable

SUCCESS = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY})


class ConnectionLost(StoreUnavailable):
    """The server cannot be reached, or the connection broke. What was under way may or may not have been carried out."""

    def __init__(self, text: str, *, sqlstate: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


class ServerBusy(StoreUnavailable):
    """The server answered but cannot do it now: out of connections or disk, a deadlock, a statement cancelled from outside."""

    def __init__(self, text: str, *, sqlstate: str) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


class QueryRejected(StoreRejected):
    """The server, or the encoding of a parameter, refused a statement. `constraint` is "" where none was violated."""

    def __init__(self, text: str, *, sqlstate: str = "", constraint: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate
        self.constraint = constraint


# PostgreSQL, appendix A: 08 connection exceptions; 57P01 admin_shutdown, 57P02 crash_shutdown, 57P03 cannot_connect_now (starting up),
# 57P04 database_dropped, 57P05 idle_session_timeout. After each of them the session is over.
_LOST_CLASSES = frozenset({"08"})
_LOST_STATES = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04"})
# 40 transaction rollback (serialization, deadlock), 53 insufficient resources, 55 object not in prerequisite state (lock not available),
# 57 operator intervention (57014 query_canceled), 58 system error; 25006 is a write to a server that has become a standby.
_BUSY_CLASSES = frozenset({"40", "53", "55", "57", "58"})
_BUSY_STATES = frozenset({"25006"})
# Data exceptions and errors raised by functions quote the value in the message.
_CLASSES_WITH_VALUES_IN_MESSAGE = frozenset({"22", "P0"})


def _field(result: PGresult, field: DiagnosticField) -> str:
    raw = result.error_field(field)
    return raw.decode("utf-8", "replace") if raw else ""


def _condition(sqlstate: str) -> str:
    try:
        return psycopg_errors.lookup(sqlstate).__name__
    except KeyError:
        return "error"


def error_of_result(result: PGresult) -> ConnectionLost | ServerBusy | QueryRejected:
    """The error that an unsuccessful result means."""
    sqlstate = _field(result, DiagnosticField.SQLSTATE)
    if not sqlstate:
        # libpq makes such results itself when the connection breaks under a query.
        return ConnectionLost(f"the connection to PostgreSQL was lost: {one_line(result.get_error_message('utf-8'))}")
    parts = [f"PostgreSQL: {_condition(sqlstate)} ({sqlstate})"]
    if sqlstate[:2] not in _CLASSES_WITH_VALUES_IN_MESSAGE:
        parts.append(one_line(_field(result, DiagnosticField.MESSAGE_PRIMARY)))
    constraint = _field(result, DiagnosticField.CONSTRAINT_NAME)
    table = _field(result, DiagnosticField.TABLE_NAME)
    if table and constraint:
        parts.append(f"table {table}, constraint {constraint}")
    text = ": ".join(parts)
    if sqlstate[:2] in _LOST_CLASSES or sqlstate in _LOST_STATES:
        return ConnectionLost(text, sqlstate=sqlstate)
    if sqlstate[:2] in _BUSY_CLASSES or sqlstate in _BUSY_STATES:
        return ServerBusy(text, sqlstate=sqlstate)
    return QueryRejected(text, sqlstate=sqlstate, constraint=constraint)


def lost(reason: object) -> ConnectionLost:
    """The connection broke: `reason` is what libpq or the operating system says (it knows host, port and user, never the password)."""
    return ConnectionLost(f"the connection to PostgreSQL was lost: {one_line(str(reason))}")


def unencodable(exc: Exception) -> QueryRejected:
    """A parameter that cannot be sent: a type without an encoding, NUL in a text, a text that is not Unicode, a number out of range."""
    return QueryRejected(f"PostgreSQL cannot take a parameter: {type(exc).__name__}")


def undecodable(exc: Exception) -> QueryRejected:
    """A value came back that Python cannot hold, such as a date after the year 9999."""
    return QueryRejected(f"a value from PostgreSQL cannot be represented: {type(exc).__name__}")


def one_line(text: str) -> str:
    """The text without line ends: libpq reports one attempt a line."""
    return " ".join(text.split())
