#!/bin/sh
# Re-make requirements/*.txt from the dependency groups of pyproject.toml, and the lock of the console's pages.
#
# First one lock of everything, then each group with that one as its constraint, so that a package has the same version
# wherever it is installed. Options go to the first: `--upgrade`, or `--upgrade-package NAME`.
set -eu
cd "$(dirname "$0")/../.."

groups="etl train evaluate score drift console web dask run dev mlflow-server audit uv"

compile() {
    output=$1
    shift
    "${UV:-.venv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
        --no-emit-index-url --custom-compile-command "make lock" --output-file "$output" "$@"
}

every=""
for group in $groups; do every="$every --group $group"; done
# shellcheck disable=SC2086  # one word a group is what is meant
compile requirements/all.txt $every "$@"
for group in $groups; do
    compile "requirements/$group.txt" --group "$group" --constraint requirements/all.txt --no-annotate
done
# By itself: what benchmarks are held against must not hold anything else back.
compile requirements/bench.txt --group bench --no-annotate "$@"
# Without the addresses, which would name a registry; the hashes say what a package is, wherever it comes from.
sh deploy/local/node.sh npm install --package-lock-only --silent --omit-lockfile-registry-resolved=false
pages=console/web/package-lock.json
sed '/^ *"resolved": /d' $pages >$pages.new && mv $pages.new $pages
