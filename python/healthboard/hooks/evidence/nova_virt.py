"""Nova's virt drivers: calls of nova-compute to its hypervisor are evidence for `hypervisor`.

libvirt reports a closed connection by a callback. It does not report a hang: only a call of the driver or of
the refresh that stays in flight shows it.
"""

from __future__ import annotations

import functools
import weakref

from ... import Indicator, classify, notices, threads
from ...refresher import NotAsked, register
from ..patches import Patches
from .in_flight import in_flight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# Methods of the libvirt driver that nova-compute calls regularly and that return soon when all is well.
RECORDED_METHODS = ("get_available_resource", "get_info", "get_num_instances", "list_instance_uuids")

# libvirt's reason code for a connection that this process has closed itself.
CLOSED_BY_CLIENT = 3

_hosts: weakref.WeakSet[Any] = weakref.WeakSet()


def judge(raised: BaseException) -> classify.Evidence:
    """Judge an exception: a failure if libvirt is unavailable, no evidence if it may concern one instance."""
    if any(kind.__name__ == "HypervisorUnavailable" for kind in type(raised).__mro__):
        return False
    return classify.judge(raised)


def _judge_any_driver(raised: BaseException) -> bool | None:
    # The node may have been removed since it was listed.
    is_missing = any(kind.__name__ == "NotFound" for kind in type(raised).__mro__)
    return None if is_missing or not isinstance(raised, Exception) else False


def _watch_driver(hypervisor: Indicator, driver: Any) -> None:
    if not type(driver).__module__.startswith("nova.virt.libvirt"):
        # Nova calls this once a minute, whatever the driver.
        driver.get_available_resource = hypervisor.wrap(driver.get_available_resource, _judge_any_driver)
        return
    for name in RECORDED_METHODS:
        if hasattr(driver, name):
            # `get_connection` records the successes.
            setattr(driver, name, in_flight(hypervisor, judge, getattr(driver, name)))


def _refresh(hypervisor: Indicator, known_host: weakref.ref[Any]) -> None:
    host = known_host()
    if host is None:
        raise NotAsked
    must_reconnect = threads.are_native_beside_green() or hypervisor.failures() > 0
    # Under eventlet both connections are proxies, which work in native threads.
    connection = None if must_reconnect else host._wrapped_conn
    if connection is not None:
        connection.getLibVersion()
        return
    # `get_connection` would log each attempt.
    connection = host._connect(host._uri, host._read_only)
    try:
        connection.getLibVersion()
    finally:
        connection.close()


def _hook_host(module: ModuleType) -> None:
    hypervisor = Indicator("hypervisor")

    def record(get_connection: Any) -> Any:
        # `get_connection` calls libvirt each time.
        checked = hypervisor.wrap(get_connection, judge)

        @functools.wraps(get_connection)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with notices.suppress_errors("refresh of hypervisor"):
                host = args[0]
                if host not in _hosts:
                    _hosts.add(host)
                    register(hypervisor, functools.partial(_refresh, hypervisor, weakref.ref(host)), judge)
            return checked(*args, **kwargs)

        return wrapper

    def record_end(close_callback: Any) -> Any:
        # libvirt calls it in a native thread, which must neither log nor wait.
        @functools.wraps(close_callback)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if CLOSED_BY_CLIENT not in args[2:3]:
                hypervisor.record_fail("ConnectionClosed")
            return close_callback(*args, **kwargs)

        return wrapper

    _patches.around(module, "Host.get_connection", record)
    _patches.around(module, "Host._close_callback", record_end)


def _hook_driver(module: ModuleType) -> None:
    def watch(load: Any) -> Any:
        @functools.wraps(load)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            driver = load(*args, **kwargs)
            with notices.suppress_errors("hook for nova's virt driver"):
                _watch_driver(Indicator("hypervisor"), driver)
            return driver

        return wrapper

    _patches.around(module, "load_compute_driver", watch)


_patches = Patches({"nova.virt.driver": _hook_driver, "nova.virt.libvirt.host": _hook_host})
install, uninstall = _patches.install, _patches.uninstall
