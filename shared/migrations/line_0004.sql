-- Where no column dates a claim, a draw by its id says whether it judges: this share of the claims does; null where time
-- is split. And how many claims a model learnt from.
ALTER TABLE {line}.models
    ADD COLUMN judged_share double precision CHECK (judged_share > 0 AND judged_share < 1),
    ADD COLUMN claims bigint;

-- How unusual each claim is, for lines of business that know no outcome. Never a verdict on fraud.
CREATE TABLE {line}.anomalies (
    claim_id       text NOT NULL,
    model_version  integer NOT NULL REFERENCES {line}.models,
    score          double precision NOT NULL,
    rank_share     double precision NOT NULL CHECK (rank_share BETWEEN 0 AND 1),
    reasons        jsonb NOT NULL,
    scored_as_of   timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (claim_id, model_version)
);
