#!/bin/sh
# Install into /opt/venv with the pip of /opt/pip, so that the environment itself never holds an installer.
#
# Both secrets are optional: who signs for the package index, and where it is.
set -eu
[ ! -s /run/secrets/ca-bundle ] || export PIP_CERT=/run/secrets/ca-bundle
[ ! -s /run/secrets/pip-conf ] || export PIP_CONFIG_FILE=/run/secrets/pip-conf
exec /opt/pip/bin/pip --python /opt/venv/bin/python --disable-pip-version-check \
    install --quiet --no-compile --no-deps "$@"
