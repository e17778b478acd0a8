#!/bin/sh
# Build images, the console's of its pages, and push them to the account's registry: push.sh ENVIRONMENT TARGET ...
set -eu
cd "$(dirname "$0")/.."

environment=$1
shift
REGISTRY=$(.venv/bin/python -m deploy.rollout login --env "$environment")
export REGISTRY
make --no-print-directory web
exec sh deploy/local/images.sh "$@" --push
