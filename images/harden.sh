#!/bin/sh
# Make the base fit to run in: no installer, a user of its own, a compiled standard library. Removes itself.
set -eu
for library in /usr/lib /usr/local/lib; do
    rm -rf "$library"/python3*/ensurepip "$library"/python3*/site-packages/pip* "$library"/python3*/dist-packages/pip* \
        "$library"/python3*/site-packages/setuptools* "$library"/python3*/site-packages/wheel*
done
rm -rf /usr/share/python-wheels /usr/local/bin/pip* /usr/bin/pip* /usr/local/bin/wheel
rm -rf /usr/bin/apt* /usr/lib/apt /etc/apt /var/lib/apt /var/cache/apt /usr/bin/dpkg /usr/bin/dpkg-*

echo 'claimsight:x:10001:' >>/etc/group
echo 'claimsight:x:10001:10001:claimsight:/tmp:/usr/sbin/nologin' >>/etc/passwd

# Some bases come without bytecode; a stage would then compile what it imports at each start.
library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
[ -d "$library/__pycache__" ] || python3 -m compileall -q -x '/(test|site-packages)/' "$library"
rm "$0"
