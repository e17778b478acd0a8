# The image of one stage. No `# syntax=` line: it would be pulled from a registry, and there may be none.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# The stage's lock under one name: stages with equal locks then share one environment.
FROM scratch AS lock
ARG STAGE
COPY requirements/${STAGE}.txt /requirements.txt

FROM ${PYTHON_IMAGE} AS builder
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
COPY images/install.sh images/trim.py /opt/
COPY --from=lock /requirements.txt /opt/
RUN --mount=type=secret,id=ca-bundle --mount=type=secret,id=pip-conf --mount=type=cache,target=/root/.cache/pip \
    sh /opt/install.sh --require-hashes --requirement /opt/requirements.txt \
    && python3 /opt/trim.py /opt/venv

# Compiled here, since the root is read-only where it runs; an unchecked one saves looking at its source.
FROM ${PYTHON_IMAGE} AS code
ARG STAGE
COPY shared /app/shared
COPY contracts /app/contracts
COPY jobs/__init__.py /app/jobs/
COPY jobs/${STAGE} /app/jobs/${STAGE}
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${PYTHON_IMAGE}
COPY images/harden.sh /tmp/
RUN sh /tmp/harden.sh
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
# Declared, so that a volume on it has its owner and mode: Fargate else gives an empty one to root alone.
VOLUME /tmp
COPY --from=builder /opt/venv /opt/venv
COPY --from=code /app /app
ARG STAGE
ARG GIT_SHA=unknown
ENV CLAIMSIGHT_STAGE=${STAGE} CLAIMSIGHT_GIT_SHA=${GIT_SHA}
# The shell is gone at once: Python is the first process, and gets the signals and all arguments.
ENTRYPOINT ["sh", "-c", "exec python -m \"jobs.$CLAIMSIGHT_STAGE\" \"$@\"", "job"]
