"""The indicators of the hooks, by name. Others come from a service's own code."""

from __future__ import annotations

# What each indicator stands for.
KNOWN = {
    "progress": "the interpreter, the event loop or eventlet's hub",
    "database": "the database",
    "api_database": "the database that the configuration names in the group of this name",
    "placement_database": "the database that the configuration names in the group of this name",
    "redis": "the Redis server that the service uses first",
    "message_bus": "the connections to the message broker",
    "message_bus_publish": "messages to the broker",
    "message_bus_consume": "messages from the broker",
    "notification_bus": "the connections to the broker of a service that only notifies",
    "notification_bus_publish": "notifications to the broker",
    "requests": "the requests to the service's application",
    "rpc_server": "the calls that the service answers",
    "service_report": "the report that the service is up",
    "periodic_tasks": "the service's periodic tasks",
    "hypervisor": "the hypervisor",
    "accelerator": "requests to another service",
    "baremetal": "requests to another service",
    "compute": "requests to another service",
    "identity": "requests to another service",
    "image": "requests to another service",
    "key_manager": "requests to another service",
    "network": "requests to another service",
    "placement": "requests to another service",
    "share": "requests to another service",
    "volume": "requests to another service",
}
