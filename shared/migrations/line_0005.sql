-- Persons who were erased, and raw rows that expire.
ALTER TABLE {line}.ingest_files ADD COLUMN erased bigint NOT NULL DEFAULT 0;
ALTER TABLE {line}.ingest_files DROP CONSTRAINT ingest_files_check;
ALTER TABLE {line}.ingest_files ADD CONSTRAINT ingest_files_check CHECK (rows_in = rows_out + quarantined + erased);

-- Null once it has expired, and from the start where the claimant was erased.
ALTER TABLE {line}.claims_quarantine ALTER COLUMN raw DROP NOT NULL;
CREATE INDEX claims_quarantine_raw ON {line}.claims_quarantine (file_id) WHERE raw IS NOT NULL;

-- Whom etl must not bring back: pseudonyms of the claimant and of the ids of their claims, and nothing in clear.
CREATE TABLE {line}.erasures (
    erasure_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claimant       text NOT NULL,
    claims         text[] NOT NULL,
    rows           jsonb NOT NULL,
    erased_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs
);
