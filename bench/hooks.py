"""Does so many database queries, or what an RPC has the hooks do, with them or without; for counting instructions.

usage: hooks.py query|rpc with|without COUNT PLACE
"""

import gc
import sys

# So that each run counts the same.
gc.disable()
what, how, count, place = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

if how == "with":
    import healthboard
    from healthboard import hooks

    hooks.install()
    assert healthboard.start("bench", {"uri": f"unix://{place}/health.sock", "runtime_dir": place}) == []

if what == "query":
    from oslo_db.sqlalchemy import engines

    engine = engines.create_engine("sqlite://")
    with engine.connect() as connection:
        for _ in range(count):
            connection.exec_driver_sql("SELECT 1").scalar()
else:
    # What the hooks replace, doing nothing: a real call waits more or less often, which no count survives.
    class Connection:
        _handshake_complete = True

        def blocking_read(self, timeout=None):
            pass

        def _ensure_publishing(self, *args):
            pass

    if how == "with":
        from healthboard.hooks import amqp, in_flight

        bus = amqp.message_bus()
        Connection.blocking_read = amqp._record_frames(bus)(Connection.blocking_read)
        publish = in_flight.in_flight(bus, lambda raised: None, Connection._ensure_publishing)
        Connection._ensure_publishing = publish
    connection = Connection()
    for _ in range(count):
        # Request and answer, three frames and a confirmation for each.
        for _ in range(2):
            connection._ensure_publishing("exchange", "message")
            for _ in range(4):
                connection.blocking_read(timeout=1)
