-- The tables of one line of business; {line} is its schema. The contract's own columns are added to claims afterwards.
CREATE TABLE {line}.ingest_files (
    file_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uri            text NOT NULL,
    etag           text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('claims', 'outcomes')),
    status         text NOT NULL CHECK (status IN ('loaded', 'rejected', 'replaced')),
    reason         text,
    rows_in        bigint NOT NULL,
    rows_out       bigint NOT NULL,
    quarantined    bigint NOT NULL,
    loaded_at      timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    CHECK (rows_in = rows_out + quarantined)
);
CREATE UNIQUE INDEX ingest_files_current ON {line}.ingest_files (uri, etag) WHERE status <> 'replaced';
CREATE UNIQUE INDEX ingest_files_loaded ON {line}.ingest_files (uri) WHERE status = 'loaded';

-- Every version of every claim: a version is the one known from known_at until superseded_at.
-- Here and below file_id is one of ingest_files. etl writes both in one transaction and no file is ever deleted, so that
-- foreign keys would guard against nothing, but make a load take half as long again.
CREATE TABLE {line}.claims (
    claim_id       text NOT NULL,
    revision       integer NOT NULL,
    event_time     timestamptz NOT NULL,
    known_at       timestamptz NOT NULL,
    superseded_at  timestamptz,
    file_id        bigint NOT NULL,
    file_line      bigint NOT NULL,
    PRIMARY KEY (claim_id, revision)
);
CREATE UNIQUE INDEX claims_current ON {line}.claims (claim_id) WHERE superseded_at IS NULL;

CREATE TABLE {line}.claims_quarantine (
    file_id        bigint NOT NULL,
    file_line      bigint NOT NULL,
    column_name    text,
    reason         text NOT NULL,
    raw            text NOT NULL
);
CREATE INDEX ON {line}.claims_quarantine (file_id);

CREATE TABLE {line}.outcomes (
    outcome_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claim_id       text NOT NULL,
    is_fraud       boolean NOT NULL,
    decided_at     timestamptz NOT NULL,
    known_at       timestamptz NOT NULL,
    source         text NOT NULL,
    file_id        bigint,
    file_line      bigint,
    UNIQUE (claim_id, decided_at, source, is_fraud, known_at)
);

CREATE TABLE {line}.models (
    model_version  integer PRIMARY KEY,
    family         text NOT NULL,
    snapshot       text NOT NULL,
    outcomes_known bigint NOT NULL,
    train_start    timestamptz NOT NULL,
    train_end      timestamptz NOT NULL,
    artifact_uri   text NOT NULL,
    mlflow_run_id  text NOT NULL,
    contract_hash  text NOT NULL,
    git_sha        text NOT NULL,
    image_digest   text NOT NULL,
    as_of          timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs
);

-- Append-only: what stands last for an alias is what holds.
CREATE TABLE {line}.model_history (
    entry_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_version  integer NOT NULL REFERENCES {line}.models,
    alias          text NOT NULL CHECK (alias IN ('champion', 'refused')),
    from_version   integer REFERENCES {line}.models,
    to_version     integer REFERENCES {line}.models,
    actor          text NOT NULL,
    reason         text NOT NULL,
    threshold      double precision,
    judged_start   timestamptz,
    judged_end     timestamptz,
    metrics        jsonb NOT NULL,
    gates          jsonb NOT NULL,
    as_of          timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    decided_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE {line}.predictions (
    claim_id           text NOT NULL,
    model_version      integer NOT NULL REFERENCES {line}.models,
    variant            text NOT NULL DEFAULT 'champion',
    fraud_probability  double precision NOT NULL CHECK (fraud_probability BETWEEN 0 AND 1),
    flagged            boolean NOT NULL,
    audited            boolean NOT NULL,
    reasons            jsonb,
    scored_as_of       timestamptz NOT NULL,
    run_id             bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (claim_id, model_version, variant)
);

CREATE TABLE {line}.drift_metrics (
    window_start   timestamptz NOT NULL,
    window_end     timestamptz NOT NULL,
    model_version  integer NOT NULL REFERENCES {line}.models,
    feature        text NOT NULL,
    metric         text NOT NULL,
    value          double precision,
    "limit"        double precision,
    verdict        text NOT NULL CHECK (verdict IN ('ok', 'watch', 'retrain', 'stop')),
    reason         text,
    as_of          timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (model_version, window_start, feature, metric)
);

-- What was known at a moment; every reader of claims and outcomes goes through these two.
CREATE FUNCTION {line}.claims_as_of(moment timestamptz) RETURNS SETOF {line}.claims LANGUAGE sql STABLE AS $$
    SELECT * FROM {line}.claims
    WHERE known_at <= moment AND (superseded_at IS NULL OR superseded_at > moment)
$$;
CREATE FUNCTION {line}.outcomes_as_of(moment timestamptz) RETURNS SETOF {line}.outcomes LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (claim_id) * FROM {line}.outcomes
    WHERE known_at <= moment
    ORDER BY claim_id, known_at DESC, outcome_id DESC
$$;
