-- What drift measures, with an interval where it has one; and what each week's claims looked like, as counts that add up.
ALTER TABLE {line}.drift_metrics
    ADD COLUMN low  double precision,
    ADD COLUMN high double precision;

-- Where a model's features are counted: made once, when drift first meets the model, so that weeks stay comparable.
CREATE TABLE {line}.profile_edges (
    model_version  integer NOT NULL REFERENCES {line}.models,
    feature        text NOT NULL,
    edges          double precision[] NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (model_version, feature)
);

-- Claims of a week by bin of a feature (shared.profile.Grid); feature '*' holds two counts, of the claims and of those
-- that repeat another's content. A week of which other claims, or later versions of them, are known is counted anew.
CREATE TABLE {line}.weekly_profiles (
    model_version  integer NOT NULL REFERENCES {line}.models,
    week           timestamptz NOT NULL,
    feature        text NOT NULL,
    counts         bigint[] NOT NULL,
    least          double precision,
    most           double precision,
    total          double precision,
    known_at       timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (model_version, week, feature)
);
