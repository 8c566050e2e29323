"""What others serve for a probe: `anchors.py http.server PORT`, and the WSGI application for uWSGI."""

import http.server
import sys

if len(sys.argv) == 3:

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_):
            pass

    Handler.protocol_version = "HTTP/1.1"
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
else:
    from oslo_middleware.healthcheck import Healthcheck

    application = Healthcheck.app_factory({})
