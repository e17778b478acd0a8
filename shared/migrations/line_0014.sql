-- How a champion performs on cohorts of claims, by the week of their event: as their outcomes mature, and as its own
-- probabilities let expect before. Append-only: of a cohort and metric the newest as_of counts.
CREATE TABLE {line}.cohorts (
    model_version  integer NOT NULL REFERENCES {line}.models,
    week           date NOT NULL,      -- the first, a Monday
    weeks          integer NOT NULL,   -- how many, so that there are frauds enough
    metric         text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('realised', 'estimated')),
    value          double precision NOT NULL,
    low            double precision,
    high           double precision,
    claims         bigint NOT NULL,
    frauds         bigint NOT NULL,    -- known
    matured        double precision NOT NULL CHECK (matured BETWEEN 0 AND 1),
    as_of          timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (model_version, week, metric, kind, as_of)
);
