#!/bin/sh
# Build images: images.sh [TARGET ...], of docker-bake.hcl; all of them by default.
#
# Here is what a build has to know of this machine: which base to start from, whom to trust, where packages come from.
set -eu
cd "$(dirname "$0")/../.."

: "${PYTHON_IMAGE:=python:3.11-slim-bookworm}"
pull_patience=20 # seconds

# An image registry may be out of reach; Claimsight still builds.
if ! docker image inspect "$PYTHON_IMAGE" >/dev/null 2>&1 &&
    ! timeout "$pull_patience" docker pull --quiet "$PYTHON_IMAGE" >/dev/null 2>&1; then
    offline=claimsight/python:offline-$(sha256sum images/base/make.sh | cut -c 1-12)
    echo "images: $PYTHON_IMAGE cannot be pulled; starting from $offline"
    docker image inspect "$offline" >/dev/null 2>&1 || images/base/make.sh "$offline"
    PYTHON_IMAGE=$offline
fi

for bundle in "${CA_BUNDLE:-}" "${SSL_CERT_FILE:-}" "${REQUESTS_CA_BUNDLE:-}" "${PIP_CERT:-}"; do
    [ ! -f "$bundle" ] || break
done
[ -f "$bundle" ] || bundle=""

# Of pip's settings, those that hold within a container too; what names a file of this machine does not.
mkdir -p .claimsight
pip_conf=.claimsight/pip.conf
(umask 077 && ${PYTHON:-python3} -m pip config list 2>/dev/null | awk -F "='" '
    { name = $1; sub(/.*\./, "", name); sub(/\x27$/, "", $2) }
    $2 !~ /file:/ && name ~ /^(default-timeout|timeout|retries|proxy|index-url|extra-index-url|trusted-host)$/ { kept[name] = $2 }
    END { print "[global]"; for (name in kept) print name " = " kept[name] }' >$pip_conf)

git() { command git "$@" 2>/dev/null || true; }
sha=$(git rev-parse --verify --quiet HEAD)
[ -z "$sha" ] || [ -z "$(git status --porcelain)" ] || sha=$sha-dirty

export PYTHON_IMAGE CA_BUNDLE="$bundle" PIP_CONF="$pip_conf"
export GIT_SHA="${GIT_SHA:-${sha:-unknown}}" CREATED="${CREATED:-$(git log -1 --format=%cI)}"
# Without the credentials that such an address may carry.
export SOURCE="${SOURCE:-$(git config --get remote.origin.url | sed 's,//[^/@]*@,//,')}"
exec docker buildx bake --file docker-bake.hcl "$@"
