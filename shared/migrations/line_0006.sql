-- What was pulled from a database of the business: each pull that brought something stands in the ledger as a file does.
ALTER TABLE {line}.ingest_files
    ADD COLUMN pull      text,         -- its name in the contract
    ADD COLUMN watermark text,         -- the largest one when it began, as Postgres writes it
    ADD COLUMN taken_at  timestamptz,  -- when that was, by the source's clock
    ADD COLUMN since     text;         -- where the next pull begins; null for all rows
CREATE INDEX ON {line}.ingest_files (pull, taken_at) WHERE pull IS NOT NULL;

-- Rows that the next pull will meet again, by a hash of 16 bytes each, thousands to a row.
CREATE TABLE {line}.pulled_rows (
    pull           text NOT NULL,
    hashes         bytea NOT NULL
);
