"""A headless Chromium that tests drive, over its own debugging pipe and with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic", "--disable-extensions", "--hide-scrollbars"),
)
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowDown": 40}


def browser_path() -> str | None:
    """The installed Chromium, if any."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab. ``messages``: what its console said, ``requests``: the addresses that it asked for."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        target = browser.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.messages: list[str] = []
        self.requests: list[str] = []
        browser.pages[self._session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")
        self.size(1280, 900)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.command(method, self._session, **parameters)

    def hear(self, method: str, parameters: dict[str, Any]) -> None:
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(json.dumps(parameters))
        elif method == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            if not address.startswith("data:"):
                self.requests.append(address)

    def open(self, file: Path) -> None:
        """Open the file, until its load event is over."""
        self.command("Page.navigate", url=file.resolve().as_uri())
        while not self.run("document.readyState === 'complete' && performance.timing.loadEventEnd > 0"):
            time.sleep(0.01)

    def frame(self) -> float:
        """Wait for the next frame; milliseconds since the navigation began."""
        return float(
            self.run("new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))")
        )

    def run(self, script: str) -> Any:
        """The value of a script, which may be a promise."""
        found = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def size(self, width: int, height: int) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def media(self, *, media: str = "", scheme: str = "light") -> None:
        """Emulate a medium (``print``) and the wish for a light or dark page."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)

    def script(self, *, on: bool) -> None:
        self.command("Emulation.setScriptExecutionDisabled", value=not on)

    def press(self, *keys: str) -> None:
        for key in keys:
            text = {"Enter": "\r", " ": " "}.get(key, "")
            facts = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key]}
            self.command("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **facts)
            self.command("Input.dispatchKeyEvent", type="keyUp", **facts)

    def write(self, text: str) -> None:
        """Type where the focus is."""
        self.command("Input.insertText", text=text)

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        found = self.command("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def pdf(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.command("Page.printToPDF", printBackground=False)["data"]))


class Browser:
    """The process, and the two pipes that messages pass through, each ended by a zero byte."""

    def __init__(self, process: subprocess.Popen[bytes], reads: int, writes: int) -> None:
        self.process = process
        self.pages: dict[str, Page] = {}
        self._reads, self._writes = reads, writes
        self._rest = b""
        self._number = 0

    def command(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what else arrives is told to the pages."""
        self._number += 1
        sent = {"id": self._number, "method": method, "params": parameters}
        os.write(self._writes, json.dumps(sent | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found["error"])
                return dict(found["result"])
            if "method" in found and (page := self.pages.get(found.get("sessionId", ""))):
                page.hear(found["method"], found["params"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._reads, 1 << 20)
            assert read, "the browser went away"
            self._rest += read
        text, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(text))


@contextmanager
def browser(path: str, folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in ``folder``, ended with the block."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    # The browser reads commands from file 3 and answers on file 4.
    pipes = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    words = [path, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        ["bash", "-c", pipes, *words],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(process, ours_in, ours_out)
    finally:
        os.close(ours_out)  # it ends when its commands end
        os.close(ours_in)
        process.terminate()
        process.wait(10)
