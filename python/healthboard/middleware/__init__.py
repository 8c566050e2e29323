"""Wrappers of an application: they record its requests, or answer health checks at its port.

    from healthboard.middleware import WSGI, WSGIHealthcheck
    application = WSGIHealthcheck(WSGI(application))

`WSGI` and `ASGI` record requests for servers without a hook. Under `healthboard-run` the hooks do this for
uWSGI, gunicorn, uvicorn and others. A request that passes two such wrappers is recorded once.

`WSGIHealthcheck` and `ASGIHealthcheck` answer `/healthcheck` with the verdict on the whole service.
"""

from .asgi import ASGI
from .healthcheck import ASGIHealthcheck, WSGIHealthcheck
from .wsgi import WSGI

__all__ = ["ASGI", "WSGI", "ASGIHealthcheck", "WSGIHealthcheck"]
