"""What openstack-helm's probe of Nova does, written anew: connections to the servers, then a ping over RPC.

Described by nova/templates/bin/_health-probe.py.tpl of openstack/openstack-helm, commit 0ee5ade.
"""

import socket
import sys

import oslo_messaging
import psutil
from oslo_config import cfg
from oslo_context import context
from oslo_db import options
from oslo_db.sqlalchemy import utils
from oslo_log import log

CONF = cfg.CONF


def main() -> int:
    log.logging.basicConfig(level=log.ERROR)
    oslo_messaging.set_transport_defaults(control_exchange="nova")
    CONF.register_cli_opts([cfg.StrOpt("service-queue-name"), cfg.BoolOpt("liveness-probe", default=False)])
    CONF.register_opt(cfg.StrOpt("host"))
    for group in ("database", "api_database"):
        CONF.register_opts(options.database_opts, group)
    CONF(sys.argv[1:], project="nova")
    transport = oslo_messaging.get_rpc_transport(CONF)
    for what, ports in (("broker", broker_ports()), ("database", database_ports())):
        if ports and not is_connected(ports):
            print(f"no connection to the {what}")
            # A liveness probe that failed here would restart everything with the server.
            if not CONF.liveness_probe:
                return 1
    try:
        return ping(transport)
    finally:
        transport.cleanup()


def broker_ports() -> set[int]:
    return {host.port or 5672 for host in oslo_messaging.TransportURL.parse(CONF).hosts}


def database_ports() -> set[int]:
    urls = [CONF[group].connection for group in ("database", "api_database")]
    return {int(port) for url in urls if url and (port := utils.make_url(url).port)}


def is_connected(ports: set[int]) -> bool:
    for process in psutil.process_iter():
        try:
            if f"nova-{CONF.service_queue_name}" in " ".join(process.cmdline()):
                found = [one for one in process.net_connections() if one.raddr and one.raddr[1] in ports]
                if any(one.status == "ESTABLISHED" for one in found):
                    return True
        except psutil.Error:
            continue
    return False


def ping(transport: oslo_messaging.Transport) -> int:
    where = {"topic": CONF.service_queue_name, "server": CONF.host or socket.gethostname()}
    target = oslo_messaging.Target(**where, namespace="baseapi", version="1.1")
    client = oslo_messaging.get_rpc_client(transport, target, timeout=60, retry=2)
    try:
        client.call(context.RequestContext(), "ping", arg=None)
    except oslo_messaging.exceptions.MessagingTimeout:
        print("the ping timed out")
        return 1
    except oslo_messaging.rpc.client.RemoteError as error:
        return int("Endpoint does not support RPC" not in str(error))
    except Exception as error:  # The broker cannot be reached: that is no failure.
        print(f"not asked: {type(error).__name__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
