"""Calls nova-conductor over the message bus, as a service without access to the database does."""

import sys
import threading

from nova import config, context, objects
from nova.conductor import rpcapi
from nova.objects import base

config.parse_args(["stuck", "--config-file", "nova.conf"])
objects.register_all()
base.NovaObject.indirection_api = rpcapi.ConductorAPI()


def call():
    objects.ServiceList.get_all(context.get_admin_context())


for _ in range(int(sys.argv[1])):
    threading.Thread(target=call).start()
