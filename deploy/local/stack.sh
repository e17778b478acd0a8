#!/bin/sh
# Have a Postgres and an MLflow beside single stages, as containers:
#
#   stack.sh up      starts them; writes .env where there is none
#   stack.sh down    removes them and their network; VOLUMES=1 removes what they keep, too
set -eu
cd "$(dirname "$0")/../.."

image() { echo "${REGISTRY:+$REGISTRY/}claimsight/$1:${TAG:-dev}"; }
start() { docker run --detach --init --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
    --network claimsight "$@" >/dev/null; }

secret() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# What a stage in a container has to know; only this user may read the password and the key.
write_settings() {
    password=$(secret 18)
    (umask 077 && cat >.env) <<EOF
POSTGRES_PASSWORD=$password
CLAIMSIGHT_DATABASE_URL=postgresql://postgres:$password@claimsight-postgres/postgres
CLAIMSIGHT_CONTRACT=/app/contracts/demo.toml
CLAIMSIGHT_DROP=/drop
CLAIMSIGHT_EVENTS=/state/events.jsonl
CLAIMSIGHT_ARTIFACTS=/state/artifacts
CLAIMSIGHT_PSEUDONYM_KEY=$(secret 32)
MLFLOW_TRACKING_URI=sqlite:////state/mlflow.db
EOF
    echo "stack: wrote .env"
}

up() {
    [ -e .env ] || write_settings
    grep -q '^POSTGRES_PASSWORD=.' .env || {
        echo "stack: .env has no POSTGRES_PASSWORD; add the one of CLAIMSIGHT_DATABASE_URL" >&2
        exit 78
    }
    docker network inspect claimsight >/dev/null 2>&1 || docker network create claimsight >/dev/null
    docker volume create claimsight-state >/dev/null
    docker run --rm --user 0 --entrypoint chown --volume claimsight-state:/state "$(image etl)" 10001 /state
    docker container inspect claimsight-postgres >/dev/null 2>&1 ||
        start --name claimsight-postgres --env-file .env --volume claimsight-postgres:/data "$(image postgres)"
    docker container inspect claimsight-mlflow >/dev/null 2>&1 ||
        start --name claimsight-mlflow --env MLFLOW_BACKEND_STORE_URI=sqlite:////state/mlflow.db \
            --volume claimsight-state:/state --publish "127.0.0.1:${MLFLOW_PORT:-5000}:5000" "$(image mlflow)"
    echo "stack: Postgres at claimsight-postgres on the network claimsight, MLflow at http://127.0.0.1:${MLFLOW_PORT:-5000}"
}

down() {
    docker rm --force --volumes claimsight-postgres claimsight-mlflow >/dev/null 2>&1 || true
    docker network rm claimsight >/dev/null 2>&1 || true
    [ -z "${VOLUMES:-}" ] || docker volume rm claimsight-postgres claimsight-state >/dev/null 2>&1 || true
    echo "stack: removed"
}

case ${1:-} in
up | down) "$1" ;;
*)
    echo "usage: stack.sh up|down" >&2
    exit 2
    ;;
esac
