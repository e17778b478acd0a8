# What is built, for the laptop, the tests and CodeBuild alike. deploy/local/images.sh fills in the variables and calls
# `docker buildx bake`; to push, deploy/push.sh adds REGISTRY, REPOSITORY and --push.

variable "REGISTRY" { default = "" }   # prefix of the images' names, without the last slash
variable "REPOSITORY" { default = "claimsight" } # what comes between that and the image's own name
variable "TAG" { default = "dev" }
variable "PYTHON_IMAGE" { default = "python:3.11-slim-bookworm" }
variable "CA_BUNDLE" { default = "" }  # file: who signs for the package index, where a proxy inspects TLS
variable "PIP_CONF" { default = "" }   # file: where packages come from, if not from where pip looks by itself
variable "CACHE" { default = "" }      # repository of what was built last, by image; each build starts from there
variable "GIT_SHA" { default = "unknown" }
variable "CREATED" { default = "" }    # the commit's time, not the build's, so that the same code makes the same image
variable "SOURCE" { default = "" }

group "default" {
  targets = ["job", "console", "mlflow", "postgres"]
}

target "common" {
  context = "."
  args    = { PYTHON_IMAGE = PYTHON_IMAGE }
  # Seen by one command of the build and kept in no layer.
  secret = concat(
    CA_BUNDLE == "" ? [] : ["id=ca-bundle,src=${CA_BUNDLE}"],
    PIP_CONF == "" ? [] : ["id=pip-conf,src=${PIP_CONF}"],
  )
  cache-to = CACHE == "" ? [] : ["type=inline"] # the docker driver exports no other
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
  cache-from = CACHE == "" ? [] : ["type=registry,ref=${CACHE}:${stage}"]
  tags = concat(
    ["${REGISTRY == "" ? "" : "${REGISTRY}/"}${REPOSITORY}/${stage}:${TAG}"],
    CACHE == "" || REGISTRY == "" ? [] : ["${CACHE}:${stage}"], # pushed with it, to start the next build
  )
}

target "console" {
  inherits   = ["common"]
  dockerfile = "images/console.Dockerfile"
  args       = { GIT_SHA = GIT_SHA }
  labels     = { "org.opencontainers.image.title" = "claimsight-console" }
  cache-from = CACHE == "" ? [] : ["type=registry,ref=${CACHE}:console"]
  tags = concat(
    ["${REGISTRY == "" ? "" : "${REGISTRY}/"}${REPOSITORY}/console:${TAG}"],
    CACHE == "" || REGISTRY == "" ? [] : ["${CACHE}:console"], # pushed with it, to start the next build
  )
}

target "mlflow" {
  inherits   = ["common"]
  dockerfile = "images/mlflow.Dockerfile"
  labels     = { "org.opencontainers.image.title" = "claimsight-mlflow" }
  cache-from = CACHE == "" ? [] : ["type=registry,ref=${CACHE}:mlflow"]
  tags = concat(
    ["${REGISTRY == "" ? "" : "${REGISTRY}/"}${REPOSITORY}/mlflow:${TAG}"],
    CACHE == "" || REGISTRY == "" ? [] : ["${CACHE}:mlflow"], # pushed with it, to start the next build
  )
}

target "postgres" {
  inherits   = ["common"]
  dockerfile = "images/postgres.Dockerfile"
  labels     = { "org.opencontainers.image.title" = "claimsight-postgres" }
  tags       = ["${REGISTRY == "" ? "" : "${REGISTRY}/"}claimsight/postgres:${TAG}"]
}
