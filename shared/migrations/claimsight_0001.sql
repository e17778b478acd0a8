-- What all lines of business share: the ledger of runs.
CREATE TABLE claimsight.job_runs (
    run_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage           text NOT NULL,
    line            text NOT NULL,
    shard           text NOT NULL,
    status          text NOT NULL CHECK (status IN ('running', 'done', 'failed', 'crashed', 'stopped', 'killed')),
    exit_code       smallint,
    message         text,
    as_of           timestamptz NOT NULL,
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at        timestamptz,
    rows_in         bigint NOT NULL DEFAULT 0,
    rows_out        bigint NOT NULL DEFAULT 0,
    quarantined     bigint NOT NULL DEFAULT 0,
    cpu_seconds     double precision,
    peak_rss_bytes  bigint,
    git_sha         text NOT NULL,
    image_digest    text NOT NULL
);
CREATE INDEX ON claimsight.job_runs (line, stage);
