# The console: its API, and the pages that it serves, as `make web` built them.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
COPY images/install.sh images/trim.py /opt/
COPY requirements/console.txt /opt/requirements.txt
RUN --mount=type=secret,id=ca-bundle --mount=type=secret,id=pip-conf --mount=type=cache,target=/root/.cache/pip \
    sh /opt/install.sh --require-hashes --requirement /opt/requirements.txt \
    && python3 /opt/trim.py /opt/venv

FROM ${PYTHON_IMAGE} AS code
COPY shared /app/shared
COPY contracts /app/contracts
COPY console/__init__.py /app/console/
COPY console/api /app/console/api
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app
COPY console/web/dist /app/console/web/dist

FROM ${PYTHON_IMAGE}
COPY images/harden.sh /tmp/
RUN sh /tmp/harden.sh
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
VOLUME /tmp
EXPOSE 8400
COPY --from=builder /opt/venv /opt/venv
COPY --from=code /app /app
ARG GIT_SHA=unknown
# Reached through a load balancer, so on every address of its network.
ENV CLAIMSIGHT_GIT_SHA=${GIT_SHA} CLAIMSIGHT_HOST=0.0.0.0
ENTRYPOINT ["python", "-m", "console.api"]
