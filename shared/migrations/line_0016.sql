-- Claims that a model cannot score, with the reason: the same model does not try them again.
CREATE TABLE {line}.unscorable_claims (
    claim_id       text NOT NULL,
    model_version  integer NOT NULL REFERENCES {line}.models,
    reason         text NOT NULL,
    as_of          timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    PRIMARY KEY (claim_id, model_version)
);

-- Score has read the model's row and written its run's when it writes a score, and nobody may delete either: the foreign
-- keys guarded against nothing, and looked up two rows for each score, which took longer than all else together.
ALTER TABLE {line}.predictions
    DROP CONSTRAINT predictions_model_version_fkey,
    DROP CONSTRAINT predictions_run_id_fkey;
ALTER TABLE {line}.anomalies
    DROP CONSTRAINT anomalies_model_version_fkey,
    DROP CONSTRAINT anomalies_run_id_fkey;
