-- How each feature went with the outcome in each month of the claims that judged a model, for drift to compare with.
CREATE TABLE {line}.bivariate (
    model_version  integer NOT NULL REFERENCES {line}.models,
    feature        text NOT NULL,
    month          date NOT NULL,
    claims         bigint NOT NULL,
    frauds         bigint NOT NULL,
    chi_square     double precision NOT NULL,
    freedom        integer NOT NULL,
    p_value        double precision NOT NULL CHECK (p_value BETWEEN 0 AND 1),
    cramers_v      double precision NOT NULL CHECK (cramers_v BETWEEN 0 AND 1),
    correlation    double precision,
    as_of          timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (model_version, feature, month)
);

-- Claims that a model misjudges, of each slice in which it errs: here and not in its history, whose entries stay for good
-- while a claimant may ask to be forgotten.
CREATE TABLE {line}.slice_examples (
    model_version  integer NOT NULL REFERENCES {line}.models,
    slice          integer NOT NULL,
    claim_id       text NOT NULL,
    fraud_probability double precision NOT NULL CHECK (fraud_probability BETWEEN 0 AND 1),
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (model_version, slice, claim_id)
);

-- The card of each judged model; MLflow gets a copy once it can be reached.
CREATE TABLE {line}.model_cards (
    model_version  integer PRIMARY KEY REFERENCES {line}.models,
    markdown       text NOT NULL,
    html           text NOT NULL,
    published      boolean NOT NULL DEFAULT false,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs
);
