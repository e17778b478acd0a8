-- How an entry came about: evaluate judged, or a person promoted a refused model or went back to an earlier one.
ALTER TABLE {line}.model_history
    ADD COLUMN action text NOT NULL DEFAULT 'judged' CHECK (action IN ('judged', 'override', 'rollback'));

-- Append-only for everyone, its owner too.
CREATE FUNCTION {line}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {line}.model_history
    FOR EACH STATEMENT EXECUTE FUNCTION {line}.refuse_change();

-- How much each feature of a model weighed on the claims of a window: the mean of |its share in the log odds|.
CREATE TABLE {line}.importance (
    model_version  integer NOT NULL REFERENCES {line}.models,
    window_start   timestamptz NOT NULL,
    window_end     timestamptz NOT NULL,
    feature        text NOT NULL,
    value          double precision NOT NULL,
    as_of          timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (model_version, window_start, feature)
);
