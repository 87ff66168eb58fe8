"""A Chromium for the page tests: the system's, else Debian's package if it may be installed, else Playwright's own."""

import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Headless, and without the services that a browser calls home for.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync"]


def on_path():
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def find():
    """Return the path of a Chromium, None for Playwright's own; install one if there is none."""
    if path := on_path():
        return path
    with suppress(OSError):  # no os-release: not Linux
        if platform.freedesktop_os_release().get("ID") == "debian" and os.geteuid() == 0 and shutil.which("apt-get"):
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "update", "-qq"], env=env, check=False)
            command = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", "chromium"]
            subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=False)
            if path := on_path():
                return path
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    return None
