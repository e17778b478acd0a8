#!/bin/sh
# Have Debian's Chromium, in which the console's pages are tried: leaves one that is there alone, else installs it where it
# may (root on Debian or Ubuntu), else says what to install; the tests in a browser are then skipped.
set -eu
if command -v chromium >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing chromium"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
    echo "chromium: not there; install the package chromium to try the console's pages in a browser" >&2
fi
