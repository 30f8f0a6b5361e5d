"""`transformers serve`, for those who have the key (ESPEJO_API_KEY), with the same arguments.

By itself it asks for no key and looks at no header, so that a page of another site could read its
answers (DNS rebinding) or unload its model. A script by itself: it imports nothing of ours.
"""

import hmac
import os
from typing import Any

from starlette.authentication import AuthenticationBackend, AuthenticationError
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from transformers.cli.serving import server
from transformers.cli.transformers import app

_build = server.build_server


class _Key(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> None:
        """Raise AuthenticationError for a request without the key."""
        sent = conn.headers.get("Authorization", "")
        if not hmac.compare_digest(
            sent.encode(), f"Bearer {os.environ['ESPEJO_API_KEY']}".encode()
        ):
            raise AuthenticationError("Wrong API key, or none.")


def _refuse(_: HTTPConnection, error: AuthenticationError) -> Response:
    return JSONResponse({"error": {"message": str(error)}}, status_code=401)


def _build_with_key(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
    application = _build(*arguments, **options)
    application.add_middleware(AuthenticationMiddleware, backend=_Key(), on_error=_refuse)
    return application


if __name__ == "__main__":
    server.build_server = _build_with_key
    app()  # not its `main`, which asks the package index for a newer version
