"""Does so many database queries, or RPC calls over a broker, with our hooks or without; for counting instructions.

usage: hooks.py query|rpc with|without COUNT PLACE [TRANSPORT_URL]
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
    import oslo_messaging
    from oslo_config import cfg

    class Endpoint:
        def ping(self, context, text):
            return text

    # The one that all of oslo.messaging's own options are in.
    conf = cfg.CONF
    conf([], project="bench", default_config_files=[], default_config_dirs=[])
    transport = oslo_messaging.get_rpc_transport(conf, sys.argv[5])
    target = oslo_messaging.Target(topic="bench", server="bench")
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="threading")
    server.start()
    client = oslo_messaging.get_rpc_client(transport, target, timeout=120)
    for _ in range(count):
        assert client.call({}, "ping", text="bench") == "bench"
    server.stop()
    server.wait()
    transport.cleanup()
