#!/bin/sh
# Make a release of this working copy for an environment: build.sh ENVIRONMENT
#
# Builds and pushes the images and stores the release, which .claimsight/release.json describes; RELEASE names it. BUILD may
# be another command that pushes the images of its arguments as $REGISTRY/$REPOSITORY/<image>:$TAG.
set -eu
cd "$(dirname "$0")/.."

environment=$1
python=.venv/bin/python
commit=$(git rev-parse HEAD)
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
    [ "$environment" = dev ] || {
        echo "release: there are changes that no commit has; only dev takes such" >&2
        exit 78
    }
    commit=$commit-dirty
fi
: "${RELEASE:=$(date -u +%Y%m%dT%H%M%S)-$(printf %.7s "$commit")}"
: "${BUILD:=sh deploy/push.sh}"

export TAG="release-$RELEASE" REPOSITORY="claimsight-$environment" GIT_SHA="$commit"
$BUILD "$environment" etl train evaluate score drift console mlflow
mkdir -p .claimsight
$python -m deploy.rollout record --env "$environment" --tag "$TAG" --git-sha "$commit" >.claimsight/release.json
echo "release: $RELEASE"
