"""What the errors of a Galera node mean that has lost its cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest
import sqlalchemy
from oslo_db.sqlalchemy import engines
from provoke import UNAVAILABLE, error, means
from servers import PASSWORD, Galera


@pytest.fixture(scope="module")
def node() -> Iterator[Galera]:
    with Galera() as node:
        node.sql("CREATE TABLE app.t (id INT PRIMARY KEY)")
        yield node


def test_a_node_without_quorum_is_unavailable(node: Galera) -> None:
    connection = pymysql.connect(**node.arguments())
    url = f"mysql+pymysql://app:{PASSWORD}@127.0.0.1:{node.port}/app"
    plain, translated = sqlalchemy.create_engine(url), engines.create_engine(url)
    one, other = plain.connect(), translated.connect()
    node.kill_arbitrator()
    for statement in ("SELECT * FROM t", "INSERT INTO t VALUES (1)"):
        raised = error(connection.cursor().execute, statement)
        assert raised.args[0] == 1047
        assert means(raised) is UNAVAILABLE
    assert means(error(one.execute, sqlalchemy.text("SELECT * FROM t"))) is UNAVAILABLE
    assert means(error(other.execute, sqlalchemy.text("SELECT * FROM t"))) is UNAVAILABLE
    connection.close()


def test_a_node_that_is_back_in_its_cluster_answers(node: Galera) -> None:
    node.stop()
    node.start()
    connection = pymysql.connect(**node.arguments())
    assert connection.cursor().execute("INSERT INTO t VALUES (1)") == 1
    connection.close()
