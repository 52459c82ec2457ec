"""A headless Chromium for the laws of pages: one for each session of tests, by the fixture `browser`."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from landscape.plots import indexed

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
BLIND = """HTMLCanvasElement.prototype.getContext = (context => function (kind, ...more) {
    return kind === "webgl2" ? null : context.call(this, kind, ...more);
})(HTMLCanvasElement.prototype.getContext)"""


class Browser:
    """A headless Chromium driven over a pair of pipes by its DevTools protocol: JSON messages with NUL between."""

    def __init__(self, profile):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        flags = (
            "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage --remote-debugging-pipe "
            "--enable-unsafe-swiftshader"  # WebGL2 by the processor
        )
        # The protocol reads file descriptor 3 and writes 4; bash can copy those above 9 there, other shells cannot.
        command = f'exec "$0" {flags} --user-data-dir="$1" about:blank 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM, str(profile)],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.reader, self.writer = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self.sent, self.rest, self.events, self.target = 0, b"", [], None
        self.tab()

    def tab(self):
        """Go on in a new tab; that before is closed."""
        self.session, self.blind = {}, None
        if self.target:
            self.call("Target.closeTarget", targetId=self.target)
        self.target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=self.target, flatten=True)
        self.session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def message(self):
        while b"\0" not in self.rest:
            if not select.select([self.reader], [], [], 60)[0]:
                raise TimeoutError("the browser has said nothing for a minute")
            more = os.read(self.reader.fileno(), 1 << 20)
            if not more:
                raise RuntimeError(f"the browser ended with {self.process.wait()}")
            self.rest += more
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def call(self, method, **params):
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": params, **self.session}
        self.writer.write(json.dumps(message).encode() + b"\0")
        self.writer.flush()
        while (answer := self.message()).get("id") != self.sent:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def run(self, script):
        """The JSON value of a script, after the page has drawn what it changed."""
        frame = "await new Promise(requestAnimationFrame);"
        drawn = f"(async () => {{ const value = await ({script}); {frame} {frame} return value; }})()"
        answer = self.call("Runtime.evaluate", expression=drawn, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def open(self, path, width=1280, height=800, words="", live=False):
        """Open a page, without WebGL2 unless it is to be live; returns what it asked for and complained of."""
        if self.blind:
            self.call("Page.removeScriptToEvaluateOnNewDocument", identifier=self.blind)
        self.blind = None if live else self.call("Page.addScriptToEvaluateOnNewDocument", source=BLIND)["identifier"]
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        for url in ("about:blank", f"{path.as_uri()}{words}"):
            self.events = []
            self.call("Page.navigate", url=url)
            while not any(event["method"] == "Page.loadEventFired" for event in self.events):
                self.events.append(self.message())
        self.run("1")
        return self.seen()

    def seen(self):
        """Requests, and complaints: exceptions, console messages and log entries."""
        params = [(event["method"], event["params"]) for event in self.events]
        asked = [p["request"]["url"] for name, p in params if name == "Network.requestWillBeSent"]
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        # The page waits for its pixels on purpose: its clock is to see when they are done.
        return asked, [p for name, p in params if name in kinds and "GPU stall due to ReadPixels" not in str(p)]

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        with contextlib.suppress(OSError, RuntimeError):
            self.session = {}
            self.call("Browser.close")
        self.reader.close()
        self.writer.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def main(page: str, words: str, out: str, width: str = "1280", height: str = "800") -> None:
    """A picture of a page at an address, once all its pixels are computed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        browser.open(Path(page).resolve(), int(width), int(height), words, live=True)
        browser.run("(() => { while (live && live.work()); draw(); live && compare(); })()")
        browser.picture(Path(out))
        browser.close()
    indexed(out)


if __name__ == "__main__":  # python tests/chromium.py explorer.html "#length=50&w=5&b=-2.61" figures/explorer.png
    main(*sys.argv[1:])
