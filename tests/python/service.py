# SPDX-License-Identifier: MIT
"""The service of the README's chapter on limits: what replaces slowapi. Started by service_test.py:

    uvicorn service:application

RUSTYBT_SO names the extension, LIMITS the file that all worker processes share.
"""

import json
import math
import os
import sqlite3

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse

limits = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
limits.enable_load_extension(True)
limits.load_extension(os.environ["RUSTYBT_SO"])
for name in ("api.anonymous", "api.authenticated", "websocket"):
    limits.execute("SELECT rate_policy(?)", (json.dumps({"name": name, "store": os.environ["LIMITS"]}),))

application = FastAPI()


@application.middleware("http")
async def limit(request: Request, call_next):
    user = request.headers.get("x-user")
    allowed, retry_us, *fields = limits.execute(
        "SELECT allowed, retry_after_us, ratelimit_policy, ratelimit FROM rate_take(?, ?)",
        ("api.authenticated", user) if user else ("api.anonymous", request.client.host),
    ).fetchone()
    response = await call_next(request) if allowed else JSONResponse({"detail": "too many requests"}, 429)
    response.headers["RateLimit-Policy"], response.headers["RateLimit"] = fields
    if not allowed:
        response.headers["Retry-After"] = str(math.ceil(retry_us / 1e6))
    return response


@application.get("/orders")
async def orders():
    return []


@application.websocket("/stream/{user}")
async def stream(socket: WebSocket, user: str):
    await socket.accept()
    allowed, lease = limits.execute(
        "SELECT allowed, lease_id FROM lease_acquire('websocket', ?)", (user,)
    ).fetchone()
    if not allowed:
        return await socket.close(1013, "ten connections are open already")
    try:
        async for _ in socket.iter_text():  # the client's pings keep the lease
            limits.execute("SELECT lease_renew('websocket', ?, ?)", (user, lease))
            await socket.send_text("pong")
    finally:
        limits.execute("SELECT lease_release('websocket', ?, ?)", (user, lease))
