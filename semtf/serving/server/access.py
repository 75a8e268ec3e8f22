"""The bearer token of a request, whatever its protocol."""

import hmac

from semtf.serving.server.json_tensor import RequestError


def check_token(authorization: str, token: str | None) -> None:
    """Raise RequestError unless a request's ``Authorization`` has the token, where one is set."""
    if token is None:
        return
    scheme, _, given = authorization.partition(" ")
    matches = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not matches:
        raise RequestError(401, "a bearer token is needed: Authorization: Bearer TOKEN")
