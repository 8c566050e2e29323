"""What the errors of SQLite mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy
from provoke import ANSWERED, UNAVAILABLE, UNKNOWN, error, fill, means, small_disk

from healthboard.classify import classify


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "base"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    connection.execute("INSERT INTO t VALUES (1, 'a')")
    connection.commit()
    connection.close()
    return file


def without_code(raised: BaseException) -> BaseException:
    """Return what Python 3.10 raises."""
    return type(raised)(*raised.args)


def assert_means(raised: BaseException, expected: object) -> None:
    assert means(raised) is expected
    assert means(without_code(raised)) is expected


@pytest.mark.parametrize(
    "statement",
    [
        "SELEKT 1",
        "SELECT absent FROM t",
        "INSERT INTO t VALUES (1, 'b')",
        "INSERT INTO t VALUES (2, NULL)",
        "INSERT INTO t VALUES ('x', 'b')",
    ],
)
def test_a_wrong_statement_is_answered(file: Path, statement: str) -> None:
    connection = sqlite3.connect(file)
    assert means(error(connection.execute, statement)) is ANSWERED
    connection.close()
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.connect() as wrapped:
        assert means(error(wrapped.execute, sqlalchemy.text(statement))) is ANSWERED


def test_a_missing_table_says_nothing(file: Path) -> None:
    assert_means(error(sqlite3.connect(file).execute, "SELECT * FROM absent"), UNKNOWN)


def test_a_file_that_another_connection_has_locked_says_nothing(file: Path) -> None:
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert_means(error(sqlite3.connect(file, timeout=0).execute, "SELECT * FROM t"), UNKNOWN)
    holder.close()


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    assert_means(error(sqlite3.connect, tmp_path / "absent" / "base"), UNAVAILABLE)


def test_a_file_that_is_no_database_is_unavailable(file: Path) -> None:
    file.write_bytes(b"x" * 8192)
    assert_means(error(sqlite3.connect(file).execute, "SELECT * FROM t"), UNAVAILABLE)


def test_a_damaged_file_is_unavailable_and_only_work_can_clear_it(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    raised = error(sqlite3.connect(file).execute, "SELECT * FROM t")
    assert_means(raised, UNAVAILABLE)
    assert classify(raised).by_work


def test_a_file_that_cannot_be_written_is_unavailable(file: Path) -> None:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    assert_means(error(connection.execute, "INSERT INTO t VALUES (2, 'b')"), UNAVAILABLE)


def test_a_full_disk_is_unavailable_and_only_work_can_clear_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        connection = sqlite3.connect(disk / "base", isolation_level=None)
        connection.execute("CREATE TABLE t (text)")
        fill(disk)
        raised = error(connection.execute, "INSERT INTO t VALUES (randomblob(100000))")
        connection.close()
    assert_means(raised, UNAVAILABLE)
    assert classify(raised).by_work


def test_what_the_module_says_itself_says_nothing(file: Path) -> None:
    connection = sqlite3.connect(file)
    assert_means(error(connection.execute, "SELECT ?", ()), UNKNOWN)
    connection.close()
    assert_means(error(connection.execute, "SELECT 1"), UNKNOWN)
