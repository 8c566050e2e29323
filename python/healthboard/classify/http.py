"""HTTP: urllib3, requests, httpx, keystoneauth1, http.client

Of an answer, the status decides. The rest happened on the way to it.
"""

from __future__ import annotations

from .finding import (
    NO_FREE_CONNECTION,
    Entry,
    Finding,
    Follow,
    answered,
    by_key,
    entries,
    read,
    unavailable,
    unknown,
)

NOT_REACHED = unavailable("the peer or its proxy was not reached")
NO_ANSWER = unavailable("the peer did not answer in time")
BROKEN = unavailable("the connection broke")
TLS = unavailable("TLS failed: a certificate that is refused or expired, no common version")
CLIENT = unknown("the client's own: a wrong address, content that it cannot read")

STATUSES = (
    (unavailable("a proxy does not let this service through"), (407, 511)),
    (unavailable("the peer has no space left", by_work=True), (507,)),
    (unknown("credentials: of a user, or of this service"), (401,)),
    (unknown("the peer is too busy for it, or the client was too slow"), (408, 425, 429)),
    (answered("the peer does not support the request"), (501, 505, 506, 510)),
)
SERVER_ERROR = unavailable("the peer has failed, or what it needs itself")
CLIENT_ERROR = answered("the peer works, and refused the request")

# What the reader below decides by ranges, for the documentation.
CASES = ((SERVER_ERROR, ("another status from 500 on",)), (CLIENT_ERROR, ("another status from 300 to 499",)))

_statuses = by_key(STATUSES)


def by_status(raised: BaseException) -> Finding | None:
    """By the status."""
    # requests and httpx have it in the response.
    for owner, name in ((raised, "http_status"), (read(raised, "response"), "status_code")):
        status = read(owner, name)
        if isinstance(status, int) and status >= 300:
            return of_status(status)
    return None


def of_status(status: int) -> Finding:
    """Return what an answer with this status means."""
    return _statuses.get(status) or (SERVER_ERROR if status >= 500 else CLIENT_ERROR)


CLASSES: dict[str, Entry] = {
    **entries("http.client", BadStatusLine=BROKEN, IncompleteRead=BROKEN),
    **entries(
        "urllib3.exceptions",
        MaxRetryError=Follow("reason", NOT_REACHED),
        NewConnectionError=NOT_REACHED,
        ProxyError=NOT_REACHED,
        SSLError=TLS,
        TimeoutError=NO_ANSWER,
        ResponseError=SERVER_ERROR,
        EmptyPoolError=NO_FREE_CONNECTION,
        BodyNotHttplibCompatible=CLIENT,
        ResponseNotChunked=CLIENT,
        ProtocolError=BROKEN,
        HTTPError=CLIENT,
    ),
    **entries(
        "requests.exceptions",
        HTTPError=by_status,
        SSLError=TLS,
        ConnectionError=NOT_REACHED,
        Timeout=NO_ANSWER,
        ChunkedEncodingError=BROKEN,
        RetryError=SERVER_ERROR,
        # The base class is an `OSError`.
        RequestException=CLIENT,
    ),
    **entries(
        "httpx",
        HTTPStatusError=by_status,
        PoolTimeout=NO_FREE_CONNECTION,
        ConnectError=NOT_REACHED,
        ProxyError=NOT_REACHED,
        TimeoutException=NO_ANSWER,
        NetworkError=BROKEN,
        RemoteProtocolError=BROKEN,
        HTTPError=CLIENT,
    ),
    **entries("keystoneauth1.exceptions.http", HttpError=by_status),
    **entries(
        "keystoneauth1.exceptions.connection",
        SSLError=TLS,
        ConnectTimeout=NO_ANSWER,
        ConnectionError=NOT_REACHED,
    ),
}
