"""The site, built once, and a headless Chromium driven over WebDriver's plain HTTP: what tests of pages need, and no more."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neuropil.atlas.pages.site import build

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "needs Chromium and its chromedriver on the PATH (Debian: apt-get install chromium chromium-driver)"
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowUp": "\ue013", "ArrowDown": "\ue015", "Tab": "\ue004"}
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One session; every call is one request of the WebDriver protocol."""

    def __init__(self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--window-size={width},{height}",
        ]
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._base = address
        self._base = f"{address}/session/{self._ask('POST', '/session', {'capabilities': {'alwaysMatch': wanted}})['sessionId']}"
        asked = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in asked.items()])
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)

    def devtools(self, command: str, **given: Any) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": given})

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": "about:blank"})
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *given: Any) -> Any:
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(given)})

    @property
    def url(self) -> str:
        return str(self._ask("GET", "/url"))

    def find(self, css: str) -> str:
        return str(self._ask("POST", "/element", {"using": "css selector", "value": css})[_ELEMENT])

    def click(self, css: str) -> None:
        self._ask("POST", f"/element/{self.find(css)}/click", {})

    def type(self, text: str) -> None:
        """Press keys at whatever has the focus; ``<Enter>`` and the like name one."""
        for key in KEYS:
            text = text.replace(f"<{key}>", KEYS[key])
        strokes = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def wait(self, script: str, *given: Any, seconds: float = 10) -> Any:
        """Run a script until what it returns is true."""
        until = time.monotonic() + seconds
        while not (found := self.run(script, *given)):
            assert time.monotonic() < until, f"still not so after {seconds} s: {script}"
            time.sleep(0.05)
        return found

    def complaints(self) -> list[str]:
        """What the console has said since the last call."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def picture(self) -> bytes:
        return base64.b64decode(self.devtools("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def close(self) -> None:
        self._ask("DELETE", "")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None


@contextlib.contextmanager
def driver() -> Iterator[str]:
    """Start chromedriver on a free port and give its address; end it, and the browsers that it started."""
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/said", "w+") as said:  # noqa: PTH123
        started = subprocess.Popen([str(DRIVER), "--port=0"], stdout=said, stderr=subprocess.STDOUT)
        try:
            until, port = time.monotonic() + 20, ""
            while not port:
                assert time.monotonic() < until, "chromedriver did not start"
                time.sleep(0.05)
                said.seek(0)
                port = said.read().partition("started successfully on port ")[2].partition(".")[0]
            yield f"http://127.0.0.1:{port}"
        finally:
            started.terminate()
            started.wait(timeout=20)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The folder of the whole site, built by whichever worker comes first."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "popen-gw" in shared.name else shared
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "site" / "index.html").exists():
            assert not build(shared / "site").undrawn
    return shared / "site"


@pytest.fixture(scope="module")
def _driver() -> Iterator[str]:
    if not (CHROMIUM and DRIVER):
        pytest.skip(MISSING)
    with driver() as address:
        yield address


@pytest.fixture(scope="module")
def browse(_driver) -> Iterator[Callable[..., Browser]]:
    """Open browsers of a width and a scheme, each once."""
    opened: dict[tuple[int, bool], Browser] = {}

    def of(width: int = 1280, *, dark: bool = False) -> Browser:
        if (width, dark) not in opened:
            opened[width, dark] = Browser(_driver, width=width, dark=dark)
        return opened[width, dark]

    yield of
    for browser in opened.values():
        browser.close()
