"""The hypervisor of nova-compute, with stand-ins for the parts of Nova and libvirt that the hook uses."""

from __future__ import annotations

import pytest
from test_hooks import START, details

from conftest import Service, eventually

DRIVER = """
class ComputeDriver: pass
def load_compute_driver(virtapi, compute_driver=None):
    import importlib
    return importlib.import_module("nova.virt." + compute_driver).Driver()
"""

LIBVIRT = """
VIR_FROM_RPC, VIR_FROM_QEMU = 7, 10
class libvirtError(Exception):
    def __init__(self, domain, code=38): self.err = (code, domain)
"""

HOST = """
import os, time, libvirt
class HypervisorUnavailable(Exception): pass
class Connection:
    def getLibVersion(self):
        while os.path.exists("frozen"): time.sleep(0.01)
        if os.path.exists("gone"): raise libvirt.libvirtError(libvirt.VIR_FROM_RPC)
    def close(self): pass
class Host:
    _uri, _read_only, _wrapped_conn = "qemu:///system", False, None
    def _connect(self, uri, read_only):
        Connection().getLibVersion()
        return Connection()
    def get_connection(self):
        try: self._wrapped_conn = self._connect(self._uri, self._read_only)
        except libvirt.libvirtError: raise HypervisorUnavailable
        return self._wrapped_conn
    def _close_callback(self, conn, reason, opaque): pass
"""

LIBVIRT_DRIVER = """
import libvirt
from nova.virt.libvirt import host
class Driver:
    def __init__(self): self.host = host.Host()
    def get_available_resource(self, node):
        self.host.get_connection()
        return {}
    def get_info(self, instance): raise libvirt.libvirtError(libvirt.VIR_FROM_QEMU, 42)
"""

FAKE = """
class NotFound(Exception): pass
class ComputeHostNotFound(NotFound): pass
class Driver:
    def get_available_resource(self, node):
        if node == "missing": raise ComputeHostNotFound
        if node == "bad": raise ValueError
        return {"node": node}
"""

START_COMPUTE = """
sys.path.insert(0, ".")
from nova.virt import driver
def load(name): return driver.load_compute_driver(None, name)
def quietly(function, *args):
    try: return function(*args)
    except Exception as error: print(type(error).__name__, flush=True)
"""


@pytest.fixture
def compute(service: Service) -> Service:
    nova = service.folder / "nova"
    for package in (nova, nova / "virt", nova / "virt/libvirt"):
        package.mkdir()
        (package / "__init__.py").write_text("")
    (nova / "virt/driver.py").write_text(DRIVER)
    (nova / "virt/fake.py").write_text(FAKE)
    (nova / "virt/libvirt/__init__.py").write_text("")
    (nova / "virt/libvirt/host.py").write_text(HOST)
    (nova / "virt/libvirt/driver.py").write_text(LIBVIRT_DRIVER)
    (service.folder / "libvirt.py").write_text(LIBVIRT)
    service.environment["HEALTHBOARD_REFRESH_INTERVAL"] = "0.2"
    return service


def test_the_available_resources_of_any_driver_are_evidence(compute: Service) -> None:
    compute.start(
        START
        + START_COMPUTE
        + """
fake = load("fake")
assert fake.get_available_resource("n") == {"node": "n"}
quietly(fake.get_available_resource, "missing")
sys.stdin.readline()
quietly(fake.get_available_resource, "bad")
sys.stdin.read()
"""
    )
    details(compute, "hypervisor", state="passing", failures=0, impact="critical")
    assert compute.process is not None
    assert compute.process.stdin is not None
    compute.process.stdin.write("\n")
    compute.process.stdin.flush()
    details(compute, "hypervisor", state="transient", error="ValueError")
    assert compute.end().startswith("ComputeHostNotFound\nValueError\n")


CONNECTED = START_COMPUTE + "virt = load('libvirt.driver'); assert virt.get_available_resource('n') == {}\n"


def test_an_idle_service_notices_that_libvirt_goes_and_returns(compute: Service) -> None:
    compute.start(START + CONNECTED + "sys.stdin.read()")
    details(compute, "hypervisor", state="passing")
    gone = compute.folder / "gone"
    gone.touch()
    eventually(lambda: compute.health()["details"]["hypervisor"]["failures"] >= 2)
    gone.unlink()
    details(compute, "hypervisor", state="passing", failures=0)


def test_a_hanging_libvirt_is_in_flight_and_a_fault(compute: Service) -> None:
    compute.environment["HEALTHBOARD_HYPERVISOR__STALL_AFTER"] = "1"
    compute.start(START + CONNECTED + "sys.stdin.read()")
    details(compute, "hypervisor", state="passing")
    frozen = compute.folder / "frozen"
    frozen.touch()
    details(compute, "hypervisor", state="stalled", in_flight=1)
    assert compute.health()["status"] == "FAULT"
    frozen.unlink()
    details(compute, "hypervisor", state="passing", in_flight=0)


def test_a_service_that_starts_without_libvirt_notices_that_it_comes_up(compute: Service) -> None:
    gone = compute.folder / "gone"
    gone.touch()
    compute.start(
        START
        + START_COMPUTE
        + "quietly(load('libvirt.driver').get_available_resource, 'n'); sys.stdin.read()"
    )
    details(compute, "hypervisor", state="transient", error="HypervisorUnavailable")
    gone.unlink()
    details(compute, "hypervisor", state="passing")


@pytest.mark.parametrize(("reason", "failures"), [(0, 1), (3, 0)], ids=["an error", "this process"])
def test_a_closed_connection_is_a_failure_unless_this_process_closed_it(
    compute: Service, reason: int, failures: int
) -> None:
    compute.environment["HEALTHBOARD_REFRESH_INTERVAL"] = "0"
    closes = f"virt.host._close_callback(None, {reason}, None); print('closed', flush=True); sys.stdin.read()"
    compute.start(START + CONNECTED + closes)
    details(compute, "hypervisor", failures=failures)


def test_an_error_of_libvirt_about_an_instance_is_no_failure(compute: Service) -> None:
    compute.environment["HEALTHBOARD_REFRESH_INTERVAL"] = "0"
    failures = "print(healthboard.Indicator('hypervisor').failures())"
    assert compute.run(START + CONNECTED + "quietly(virt.get_info, 'i')\n" + failures) == "libvirtError\n0\n"


def test_a_nova_without_these_functions_runs_without_the_indicator(compute: Service) -> None:
    (compute.folder / "nova/virt/driver.py").write_text("def load_driver(): pass")
    (compute.folder / "nova/virt/libvirt/host.py").write_text("class Host: get_connection = 5")
    output = compute.run(
        START
        + """
import logging
logging.basicConfig()
sys.path.insert(0, ".")
from nova.virt import driver
from nova.virt.libvirt import host
print("the service runs")
"""
    )
    for missing in ("`load_compute_driver`", "`Host.get_connection`", "`Host._close_callback`"):
        assert output.count(f"{missing} is not a function in this version; its calls are not recorded") == 1
    assert "the service runs" in output
