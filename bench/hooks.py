"""Does so many database queries, or what an RPC has the hooks do, or requests, with them or without; for counting instructions.

usage: hooks.py query|rpc|request with|without COUNT PLACE
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
elif what == "request":
    # An application that does nothing: what a request costs more is what the middleware does.
    def application(_environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"OK"]

    def start_response(_status, _headers):
        pass

    if how == "with":
        from healthboard.middleware import WSGI

        application = WSGI(application)
    for _ in range(count):
        application({"REQUEST_METHOD": "GET", "PATH_INFO": "/v2.1/servers"}, start_response)
else:
    # What the hooks replace, doing nothing: a real call waits more or less often, which no count survives.
    class Connection:
        client = None
        connected = False

        def connect(self):
            pass

        def blocking_read(self, timeout=None):
            pass

    class Channel:
        def __init__(self, connection):
            self.connection = connection

        def basic_publish_confirm(self, *args):
            pass

    if how == "with":
        from healthboard.hooks.evidence import amqp

        Connection.connect = amqp._record_attempts(Connection.connect)
        Connection.blocking_read = amqp._record_frames(Connection.blocking_read)
        Channel.basic_publish_confirm = amqp._record_confirmed_publish(Channel.basic_publish_confirm)
    connection = Connection()
    connection.connect()
    channel = Channel(connection)
    for _ in range(count):
        # Request and answer, three frames and a confirmation for each.
        for _ in range(2):
            channel.basic_publish_confirm("message", "exchange", "key")
            for _ in range(4):
                connection.blocking_read(timeout=1)
