"""Chromium without a window: the picture, errors, requests and behaviour of a page."""

import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import time

import numpy as np
import pytest
from PIL import Image

QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",  # nothing leaves the machine
]


def chromium():
    """Path of Chromium, which is installed if tests may do so: as root, in CI."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    may_install = os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0
    if not found and may_install:
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-qq", *command], check=False, capture_output=True)
        found = shutil.which("chromium")
    if not found:
        pytest.skip("Chromium is not installed, and only CI may install it")
    return found


class Page:
    """A page, driven by the DevTools protocol.

    Attributes:
        errors: list of str, errors and warnings on the page's console.
        requests: list of str, addresses outside of the page that it requested.
    """

    def __init__(self, commands, answers, width, height):
        self._commands, self._answers = commands, answers
        self._number, self._session = 0, None
        self.errors, self.requests = [], []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self.resize(width, height)

    def resize(self, width, height):
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def open(self, path):
        self._call("Page.navigate", url=path.as_uri())
        self.wait_for("document.readyState === 'complete'")

    def value(self, expression):
        """The value of an expression in JavaScript."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression, seconds=30):
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < end, f"not in {seconds} s: {expression}; {self.errors}"
            time.sleep(0.05)

    def move(self, x, y):
        self._mouse("mouseMoved", x, y)

    def click(self, x, y):
        self._mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self._mouse(kind, x, y, button="left", clickCount=1)

    def scroll(self, x, y, by):
        self._mouse("mouseWheel", x, y, deltaX=0, deltaY=by)

    def picture(self, whole=False):
        """A screenshot, an array `(H, W, 3)`."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=whole)
        contents = io.BytesIO(base64.b64decode(shot["data"]))
        return np.asarray(Image.open(contents).convert("RGB"))

    def _mouse(self, kind, x, y, **more):
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def _call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._next()).get("id") != self._number:
            self._note(answer.get("method"), answer.get("params"))
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self):
        contents = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has stopped"
            contents += byte
        return json.loads(contents)

    def _note(self, event, params):
        if event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(" ".join(str(part.get("value")) for part in params["args"]))
        elif event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:1000])
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            address = params["request"]["url"]
            if not address.startswith(("data:", "blob:", "file:")):
                self.requests.append(address)


@contextlib.contextmanager
def open_page(path, width=1280, height=1000):
    """Context manager that opens a file as a `Page`."""
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    # The browser reads commands from 3 and writes answers to 4.
    script = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["bash", "-c", script, chromium(), *QUIET, "--remote-debugging-pipe",
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        with open(commands, "wb") as write, open(answers, "rb") as read:
            try:
                page = Page(write, read, width, height)
                page.open(path)
                yield page
            finally:
                process.kill()
                process.wait()
