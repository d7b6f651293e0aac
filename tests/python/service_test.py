# SPDX-License-Identifier: MIT
"""A FastAPI service that is limited by rustybt (service.py), driven over loopback: 429 with the right
fields, and the eleventh WebSocket closed. Two worker processes share one file."""

import asyncio
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import rbt

try:
    import fastapi  # noqa: F401 (is it there?)
    import uvicorn  # noqa: F401
    import websockets
except ImportError as missing:
    rbt.skip_all(f"{missing.name} is not installed")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(place, port):
    environment = os.environ | {"RUSTYBT_SO": rbt.EXTENSION, "LIMITS": str(place / "limits.db")}
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--log-level", "warning", "--port", str(port),
         "--app-dir", str(pathlib.Path(__file__).parent), "service:application"],
        env=environment)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    process.kill()
    sys.exit("Bail out! the service does not start")


def get(port, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/orders", headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers


def requests(ports):
    status, fields = get(ports[0])
    rbt.equal(status, 200, "the first request passes")
    rbt.equal(fields["RateLimit-Policy"], '"api.anonymous";q=100;w=3600', "RateLimit-Policy tells the quota")
    rbt.equal(fields["RateLimit"], '"api.anonymous";r=99;t=3600', "RateLimit tells what is left")
    statuses = [get(ports[i % 2])[0] for i in range(99)]
    rbt.equal(statuses, [200] * 99, "so do 99 more, on either worker")
    for port in ports:
        status, fields = get(port)
        rbt.equal(status, 429, "the 101st is refused, by both workers")
        rbt.equal(fields["RateLimit"].split(";")[:2], ['"api.anonymous"', "r=0"], "nothing is left")
        rbt.ok(re.fullmatch("3[0-9]{3}", fields["Retry-After"]), "Retry-After tells when to come back")
    status, fields = get(ports[0], x_user="alice")
    rbt.equal((status, fields["RateLimit-Policy"]), (200, '"api.authenticated";q=10000;w=3600'),
              "a user who is logged in has another limit")


async def sockets(ports):
    opened = []
    for i in range(10):
        connection = await websockets.connect(f"ws://127.0.0.1:{ports[i % 2]}/stream/alice")
        await connection.send("ping")
        opened.append((connection, await connection.recv()))
    rbt.equal([answer for _, answer in opened], ["pong"] * 10, "ten WebSockets of one user work")
    for port in ports:
        connection = await websockets.connect(f"ws://127.0.0.1:{port}/stream/alice")
        await connection.wait_closed()
        rbt.equal((connection.close_code, connection.close_reason),
                  (1013, "ten connections are open already"), "the eleventh is closed")
    other = await websockets.connect(f"ws://127.0.0.1:{ports[0]}/stream/bob")
    await other.send("ping")
    rbt.equal(await other.recv(), "pong", "another user's is not")
    await other.close()
    await opened.pop()[0].close()
    answer = None
    for _ in range(100):  # until the worker has seen the end of it
        connection = await websockets.connect(f"ws://127.0.0.1:{ports[0]}/stream/alice")
        try:
            await connection.send("ping")
            answer = await connection.recv()
            break
        except websockets.ConnectionClosed:
            await asyncio.sleep(0.1)
    rbt.equal(answer, "pong", "one closes, and there is room for another")
    for connection, _ in opened:
        await connection.close()


def main():
    rbt.plan(16)
    with rbt.folder() as place:
        ports = [free_port(), free_port()]
        workers = [start(place, port) for port in ports]
        try:
            requests(ports)
            asyncio.run(sockets(ports))
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            for worker in workers:
                worker.wait(60)
    rbt.done()


main()
