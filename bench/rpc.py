"""Calls the conductor as often as each line on standard input says."""

import sys

from nova import monkey_patch

monkey_patch.patch(backend="threading")

from nova import baserpc, config, context, objects  # noqa: E402

config.parse_args(sys.argv)
objects.register_all()
api = baserpc.BaseAPI(topic="conductor")
admin = context.get_admin_context()
for line in sys.stdin:
    for _ in range(int(line)):
        api.ping(admin, "bench")
    print(int(line), flush=True)
