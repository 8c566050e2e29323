"""Applications that record their requests, for servers that no hook knows.

    from healthboard.middleware import WSGI
    application = WSGI(application)

Under `healthboard-run` the hooks do this for uWSGI, gunicorn, uvicorn and others. A request that passes two
such wrappers is recorded once.
"""

from .asgi import ASGI
from .wsgi import WSGI

__all__ = ["ASGI", "WSGI"]
