# What is built, for the laptop, the tests and CodeBuild alike. `make images` fills in the variables and calls
# `docker buildx bake`; to push, CodeBuild calls it with REGISTRY and --push.

variable "REGISTRY" { default = "" }   # prefix of the images' names, without the last slash
variable "TAG" { default = "dev" }
variable "PYTHON_IMAGE" { default = "python:3.11-slim-bookworm" }
variable "CA_BUNDLE" { default = "" }  # file: who signs for the package index, where a proxy inspects TLS
variable "PIP_CONF" { default = "" }   # file: where packages come from, if not from where pip looks by itself
variable "CACHE_FROM" { default = "" } # such as type=registry,ref=…
variable "CACHE_TO" { default = "" }   # such as type=inline; the docker driver exports no other
variable "GIT_SHA" { default = "unknown" }
variable "CREATED" { default = "" }    # the commit's time, not the build's, so that the same code makes the same image
variable "SOURCE" { default = "" }

group "default" {
  targets = ["job", "mlflow", "postgres"]
}

target "common" {
  context = "."
  args    = { PYTHON_IMAGE = PYTHON_IMAGE }
  # Seen by one command of the build and kept in no layer.
  secret = concat(
    CA_BUNDLE == "" ? [] : ["id=ca-bundle,src=${CA_BUNDLE}"],
    PIP_CONF == "" ? [] : ["id=pip-conf,src=${PIP_CONF}"],
  )
  cache-from = CACHE_FROM == "" ? [] : [CACHE_FROM]
  cache-to   = CACHE_TO == "" ? [] : [CACHE_TO]
  labels = {
    "org.opencontainers.image.revision"  = GIT_SHA
    "org.opencontainers.image.created"   = CREATED
    "org.opencontainers.image.source"    = SOURCE
    "org.opencontainers.image.base.name" = PYTHON_IMAGE
  }
}

target "job" {
  name       = stage
  matrix     = { stage = ["etl", "train", "evaluate", "score", "drift"] }
  inherits   = ["common"]
  dockerfile = "images/job.Dockerfile"
  args       = { STAGE = stage, GIT_SHA = GIT_SHA }
  labels     = { "org.opencontainers.image.title" = "claimsight-${stage}" }
  tags       = ["${REGISTRY == "" ? "" : "${REGISTRY}/"}claimsight/${stage}:${TAG}"]
}

target "mlflow" {
  inherits   = ["common"]
  dockerfile = "images/mlflow.Dockerfile"
  labels     = { "org.opencontainers.image.title" = "claimsight-mlflow" }
  tags       = ["${REGISTRY == "" ? "" : "${REGISTRY}/"}claimsight/mlflow:${TAG}"]
}

target "postgres" {
  inherits   = ["common"]
  dockerfile = "images/postgres.Dockerfile"
  labels     = { "org.opencontainers.image.title" = "claimsight-postgres" }
  tags       = ["${REGISTRY == "" ? "" : "${REGISTRY}/"}claimsight/postgres:${TAG}"]
}
