-- What a search has tried, each row written as the trial ends: a search that was killed goes on from them. Parameters are
-- json and not jsonb, which would not keep their order: what a model says of itself is to be the same to the byte.
CREATE TABLE {line}.trials (
    snapshot          text NOT NULL,
    threads           integer NOT NULL,
    number            integer NOT NULL,
    family            text NOT NULL,
    parameters        json NOT NULL,
    average_precision double precision[] NOT NULL,
    roc_auc           double precision[] NOT NULL,
    mean              double precision NOT NULL,
    state             text NOT NULL CHECK (state IN ('complete', 'pruned')),
    seconds           double precision NOT NULL,
    run_id            bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (snapshot, threads, number)
);
