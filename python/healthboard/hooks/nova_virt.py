"""Nova's virt drivers: what nova-compute asks its hypervisor is evidence for `hypervisor`.

libvirt tells by itself when a connection ends. A hang shows only as a call in flight, of the driver or of the
refresh.
"""

from __future__ import annotations

import functools
import sys
import weakref

from .. import Indicator, notices
from ..refresh import offer
from .flight import in_flight
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# What nova-compute asks libvirt's driver by itself, for one instance or none, and never has to wait long for.
ASKED = ("get_available_resource", "get_info", "get_num_instances", "list_instance_uuids")

# Why a connection was closed: because this process did so.
BY_CLIENT = 3

_hosts: weakref.WeakSet[Any] = weakref.WeakSet()


def judge(raised: BaseException) -> bool | None:
    """Tell what an exception says of libvirt: False that it has gone, None what is about an instance."""
    classes = {kind.__name__ for kind in type(raised).__mro__}
    if "libvirtError" in classes:
        libvirt: Any = sys.modules["libvirt"]
        domain, code = raised.get_error_domain(), raised.get_error_code()  # type: ignore[attr-defined]
        lost = domain in (libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_RPC)
        return False if lost or code in (libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_ERR_AUTH_FAILED) else None
    return False if "HypervisorUnavailable" in classes else None


def _judge_other(raised: BaseException) -> bool | None:
    # A node that was taken away meanwhile is not to blame.
    is_missing = any(kind.__name__ == "NotFound" for kind in type(raised).__mro__)
    return None if is_missing or not isinstance(raised, Exception) else False


def _watch_driver(hypervisor: Indicator, driver: Any) -> None:
    if not type(driver).__module__.startswith("nova.virt.libvirt"):
        # Of all drivers, every minute.
        driver.get_available_resource = hypervisor.wrap(driver.get_available_resource, _judge_other)
        return
    for name in ASKED:
        if hasattr(driver, name):
            # What libvirt has to say of itself, `get_connection` has recorded.
            setattr(driver, name, in_flight(hypervisor, judge, getattr(driver, name)))


def _refresh(hypervisor: Indicator, known: weakref.ref[Any], failing: bool) -> None:
    host = known()
    if host is None:
        return
    # Under eventlet both are proxies that work in native threads, as all that Nova does with libvirt.
    connection = None if failing else host._wrapped_conn
    with hypervisor.begin(judge):
        if connection is not None:
            connection.getLibVersion()
            return
        # Nova would log each attempt.
        connection = host._connect(host._uri, host._read_only)
        try:
            connection.getLibVersion()
        finally:
            connection.close()


def _hook_host(module: ModuleType) -> None:
    hypervisor = Indicator("hypervisor")

    def record(get_connection: Any) -> Any:
        # It asks for libvirt's version each time.
        checked = hypervisor.wrap(get_connection, judge)

        @functools.wraps(get_connection)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with notices.swallowed("refresh of hypervisor"):
                host = args[0]
                if host not in _hosts:
                    _hosts.add(host)
                    offer(hypervisor, functools.partial(_refresh, hypervisor, weakref.ref(host)))
            return checked(*args, **kwargs)

        return wrapper

    def record_end(close_callback: Any) -> Any:
        # In a native thread, which must not log, nor wait.
        @functools.wraps(close_callback)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if BY_CLIENT not in args[2:3]:
                hypervisor.record_fail("ConnectionClosed")
            return close_callback(*args, **kwargs)

        return wrapper

    _patches.replace(module, "Host.get_connection", record)
    _patches.replace(module, "Host._close_callback", record_end)


def _hook_driver(module: ModuleType) -> None:
    def watch(load: Any) -> Any:
        @functools.wraps(load)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            driver = load(*args, **kwargs)
            with notices.swallowed("hook for nova's virt driver"):
                _watch_driver(Indicator("hypervisor"), driver)
            return driver

        return wrapper

    _patches.replace(module, "load_compute_driver", watch)


_patches = Patches({"nova.virt.driver": _hook_driver, "nova.virt.libvirt.host": _hook_host})
install, uninstall = _patches.install, _patches.uninstall
