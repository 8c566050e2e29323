"""MySQL and MariaDB: PyMySQL (also in aiomysql and asyncmy), mysqlclient, MySQL Connector/Python

The number decides. Where the table does not have it, the SQLSTATE does, or else the driver's class. An
exception without a number comes from the driver itself and says nothing.
"""

from __future__ import annotations

import errno
import re

from .finding import (
    NO_CONNECTION_LEFT,
    NO_FREE_CONNECTION,
    NO_PRIVILEGE,
    Entry,
    Finding,
    answered,
    by_key,
    entries,
    read,
    text,
    unavailable,
    unknown,
)

OPTION_PREVENTS_STATEMENT = 1290

ANSWERED = answered("the server refused a statement that is wrong or unlucky")
DISK = unavailable("the server cannot write: its disk is full, read-only or broken", by_work=True)
EXHAUSTED = unavailable("the server has no memory, threads or files left")
NO_ANSWER = unavailable("the server did not answer in time")
PING_FAILED = unavailable("the connection is lost, or was closed here")
OTHER_CAUSE = unknown("an error of its storage, with a cause that may be the statement")
NO_NUMBER = unknown("the driver's own: a closed cursor or connection, a mix-up of threads")
READ_ONLY = unavailable("the server takes no writes: a replica, or after a failover")
OTHER_OPTION = answered("an option of the server forbids this kind of statement")

NUMBERS = (
    (
        unavailable("the server does not let this service in"),
        (1043, 1044, 1045, 1129, 1130, 1251, 1275, 1698, 1820, 1862, 3118, 3159, 4151),
    ),
    (unavailable("the database of this service does not exist"), (1049,)),
    (NO_CONNECTION_LEFT, (1040, 1203, 1226)),
    (EXHAUSTED, (1041, 1135, 1637)),
    (unavailable("a Galera node outside its cluster, or not ready yet"), (1047,)),
    (unavailable("the group that replicates it refuses the transaction"), (3100,)),
    (unavailable("the server shuts down, starts, or is set offline"), (1053, 1079, 3032, 3168)),
    (unavailable("the server ended this connection"), (1152, 1184, 1927, 3169)),
    (unavailable("the connection broke"), (1042, 1156, 1157, 1158, 1159, 1160, 1161)),
    (READ_ONLY, (1036, 1836, 1874)),
    (DISK, (1021, 1114)),
    (unavailable("the storage failed to commit", by_work=True), (1180,)),
    (
        unavailable("a table or an index is damaged", by_work=True),
        (126, 127, 144, 145, 1034, 1035, 1194, 1195, 1712, 1812, 1877, 1932),
    ),
    (unavailable("a proxy found no server to send it to"), (9001,)),
    (
        unavailable("the client library could not connect, or lost the connection"),
        (2001, 2002, 2003, 2004, 2005, 2006, 2011, 2012, 2013, 2026, 2055, 2059, 2061),
    ),
    (
        unknown("out of step with the server: threads or green threads shared a connection"),
        (2014, 2027),
    ),
    (
        unknown("a lock was not free in time: another transaction of this service, or a backup, holds it"),
        (1205,),
    ),
    (
        unknown("the statement was cut short: by an administrator, a shutdown or a time limit"),
        (1317, 1969, 3024),
    ),
    (unknown("a read-only transaction: the service began it, or the server's default is such"), (1792,)),
    (unknown("an idle connection was closed by the server"), (4031,)),
    (unknown("a missing table: a check whether it exists, or a lost schema"), (1046, 1051, 1146)),
    (NO_PRIVILEGE, (1142, 1143, 1227, 1370)),
    (unknown("an error that proxies give for everything"), (1105,)),
    (answered("the statement is larger than the server accepts"), (1153,)),
    (
        answered("a conflict with another transaction, which the service repeats"),
        (1020, 1213, 3058, 3101, 3572),
    ),
    (
        ANSWERED,
        (
            *(1007, 1008, 1048, 1050, 1052, 1054, 1060, 1061, 1062, 1063, 1064, 1068, 1072, 1091, 1093),
            *(1099, 1100, 1101, 1136, 1149, 1169, 1172, 1176, 1222, 1223, 1235, 1241, 1242, 1264, 1265),
            *(1292, 1305, 1318, 1329, 1364, 1365, 1366, 1406, 1411, 1415, 1418, 1419, 1451, 1452, 1458),
            *(1553, 1557, 1644, 1690, 1701, 1826, 3819, 4025),
        ),
    ),
)

# Of the numbers without an entry. The two characters are the class.
STATES = (
    (unavailable("the server does not let this service in"), ("28",)),
    (unavailable("the connection broke"), ("08",)),
    (ANSWERED, ("0A", "21", "22", "23", "40", "42", "44", "45")),
)

# Errors of the storage have the system's error in their text: "Got error 28", "(Errcode: 28". The numbers
# below 100 are of the server's file layer.
STORAGE = {1001, 1003, 1004, 1005, 1016, 1023, 1024, 1025, 1026, 1030, 1296}
SYSTEM_ERROR = re.compile(r"(?:Errcode: |[Gg]ot error |errno: )(\d+)")
DISK_ERRORS = {errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT}
EXHAUSTION = {errno.ENOMEM, errno.EMFILE, errno.ENFILE}

# What mysqlclient and MySQL Connector say of a connection that this process has closed.
CLOSED_HERE = ("(2006, '')", "Errno 9: Bad file descriptor")

# What the reader below decides by more than the number, for the documentation.
CASES = (
    (READ_ONLY, ("1290 of the option --read-only",)),
    (OTHER_OPTION, ("1290 of another option",)),
    (DISK, ("an error of the storage with EIO, ENOSPC, EROFS or EDQUOT",)),
    (EXHAUSTED, ("an error of the storage with ENOMEM, EMFILE or ENFILE",)),
    (OTHER_CAUSE, ("another error of the storage",)),
    (NO_NUMBER, ("no number",)),
    (PING_FAILED, ("MySQL Connector: MySQL Connection not available",)),
)

_numbers, _states = by_key(NUMBERS), by_key(STATES)


def by_number(raised: BaseException) -> Finding | None:
    """By the number, then by the class of the SQLSTATE."""
    number = _number(raised)
    words = text(raised)
    if number is None or any(own in words for own in CLOSED_HERE):
        # MySQL Connector pings before each statement.
        return PING_FAILED if "MySQL Connection not available" in words else NO_NUMBER
    if number == OPTION_PREVENTS_STATEMENT:
        return READ_ONLY if "read-only" in words else OTHER_OPTION
    if number in STORAGE or number < 100:
        cause = SYSTEM_ERROR.search(words)
        code = int(cause.group(1)) if cause else None
        return DISK if code in DISK_ERRORS else EXHAUSTED if code in EXHAUSTION else OTHER_CAUSE
    state = read(raised, "sqlstate")
    return _numbers.get(number) or (_states.get(state[:2]) if isinstance(state, str) else None)


def by_number_or_class(raised: BaseException) -> Finding:
    """By the number, then by the class of the SQLSTATE, then by the class of the exception: answered."""
    return by_number(raised) or ANSWERED


def _number(raised: BaseException) -> int | None:
    arguments = read(raised, "args")
    first = arguments[0] if isinstance(arguments, tuple) and arguments else None
    # MySQL Connector has `errno`, which is -1 if there is none.
    for number in (read(raised, "errno"), first):
        if type(number) is int and number > 0:
            return number
    return None


MODULES = (
    "pymysql.err",
    "asyncmy.errors",
    "mysql.connector.errors",
    # mysqlclient; versions before 2.3 put the classes into another module.
    "MySQLdb",
    "MySQLdb._exceptions",
)

CLASSES: dict[str, Entry] = {
    **{
        name: entry
        for module in MODULES
        for name, entry in entries(
            module,
            DataError=by_number_or_class,
            IntegrityError=by_number_or_class,
            NotSupportedError=by_number_or_class,
            ProgrammingError=by_number_or_class,
            Error=by_number,
        ).items()
    },
    **entries(
        "mysql.connector.errors",
        PoolError=NO_FREE_CONNECTION,
        ConnectionTimeoutError=NO_ANSWER,
        ReadTimeoutError=NO_ANSWER,
        WriteTimeoutError=NO_ANSWER,
    ),
}
