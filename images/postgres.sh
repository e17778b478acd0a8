#!/bin/sh
# Start Postgres, after making its data where there is none. Options go to the server: -c max_connections=50
#
# POSTGRES_USER (default: postgres), POSTGRES_PASSWORD (no default) and POSTGRES_DB (default: the user) are as in the
# well-known image.
set -eu
: "${POSTGRES_PASSWORD:?is not set: it becomes the password of the superuser}"
: "${POSTGRES_DB:=$POSTGRES_USER}"

if [ ! -e "$PGDATA/PG_VERSION" ]; then
    umask 077
    rm -rf "$PGDATA.new" # of a start that was cut short
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata "$PGDATA.new" --username "$POSTGRES_USER" --pwfile /tmp/password --auth scram-sha-256 \
        --encoding UTF8 --locale C --locale-provider builtin --builtin-locale C.UTF-8 --no-sync >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA.new/pg_hba.conf"
    # In single-user mode, so that the server is up once and says once that it is ready.
    [ "$POSTGRES_DB" = postgres ] || printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" |
        postgres --single -j -D "$PGDATA.new" postgres >/dev/null 2>&1
    mv "$PGDATA.new" "$PGDATA"
else
    # Data that stay may be started with another password than they were made with: the environment's is the one.
    printf "ALTER ROLE \"%s\" PASSWORD '%s'\n" "$POSTGRES_USER" "$(printf %s "$POSTGRES_PASSWORD" | sed "s/'/''/g")" |
        postgres --single -j -D "$PGDATA" postgres >/dev/null
fi
unset POSTGRES_PASSWORD
# /dev/shm has 64 MB in a container: parallel plans use files instead.
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp -c dynamic_shared_memory_type=mmap "$@"
