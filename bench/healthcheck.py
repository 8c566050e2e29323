"""oslo.middleware's `/healthcheck` as uWSGI's application; with our backend, too, where PLACE names a folder."""

import os

from oslo_middleware.healthcheck import Healthcheck

place = os.environ.get("PLACE")
options = {"backends": "disable_by_file", "disable_by_file_path": "/no/such/file"}
if place:
    import healthboard

    healthboard.start("bench", {"uri": f"unix://{place}/uwsgi.sock", "runtime_dir": place})
    for number in range(7):
        healthboard.record_ok(f"indicator_{number}")
    options["backends"] += ",healthboard"
application = Healthcheck.app_factory({}, **options)
