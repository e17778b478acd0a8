# The team's MLflow server. It is told where its database is by MLFLOW_BACKEND_STORE_URI, and where files go by
# MLFLOW_DEFAULT_ARTIFACT_ROOT or MLFLOW_ARTIFACTS_DESTINATION.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
COPY images/install.sh /opt/
COPY requirements/mlflow-server.txt /opt/requirements.txt
RUN --mount=type=secret,id=ca-bundle --mount=type=secret,id=pip-conf --mount=type=cache,target=/root/.cache/pip \
    sh /opt/install.sh --require-hashes --requirement /opt/requirements.txt \
    && find /opt/venv -type d -name tests -path '*/site-packages/*' ! -path '*/numpy/*' -prune -exec rm -rf {} + \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv

FROM ${PYTHON_IMAGE}
COPY images/harden.sh /tmp/
RUN sh /tmp/harden.sh
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_BACKEND_STORE_URI=sqlite:////tmp/mlflow.db
WORKDIR /tmp
USER 10001:10001
EXPOSE 5000
COPY --from=builder /opt/venv /opt/venv
ENTRYPOINT ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "1"]
