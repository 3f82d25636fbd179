"""A page in headless Chromium, asked by the protocol of its developer tools."""

import asyncio
import itertools
import json
import pathlib
import shutil
import subprocess
import time
import urllib.request

import pytest
from tornado.websocket import websocket_connect

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "about:blank",
)  # fmt: skip
SECONDS = 60.0


class Page:
    """One page: what it logs, loads and raises is kept."""

    def __init__(self, socket):
        self.socket, self.numbers = socket, itertools.count(1)
        self.complaints, self.requests = [], []

    async def call(self, method, **given):
        """The answer to a command."""
        number = next(self.numbers)
        await self.socket.write_message(json.dumps({"id": number, "method": method, "params": given}))
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.read_message(), SECONDS))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message):
        method, about = message.get("method", ""), message.get("params", {})
        if method == "Runtime.exceptionThrown" or (method == "Log.entryAdded" and about["entry"]["level"] == "error"):
            self.complaints.append(about)
        if method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(about)
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])

    async def open(self, path):
        """Loads a file."""
        for room in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{room}.enable")
        await self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        deadline = time.monotonic() + SECONDS
        while await self.value("document.readyState") != "complete":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    async def value(self, expression):
        """What an expression of JavaScript gives."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def resize(self, width, height):
        """Makes the window so large."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)


def in_browser(folder, visit):
    """Runs `visit(page)` in a new Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium: install it to check reports in a browser")
    process = subprocess.Popen([program, f"--user-data-dir={folder}", *FLAGS], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file, deadline = pathlib.Path(folder) / "DevToolsActivePort", time.monotonic() + SECONDS
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            place = next(t["webSocketDebuggerUrl"] for t in json.load(answer) if t["type"] == "page")

        async def session():
            socket = await websocket_connect(place, max_message_size=2**28)
            try:
                await visit(Page(socket))
            finally:
                socket.close()
                while await asyncio.wait_for(socket.read_message(), SECONDS) is not None:
                    pass

        asyncio.run(session())
    finally:
        process.terminate()
        process.wait(SECONDS)
