-- Reference tables: their files stand in the ledger as well. The tables themselves are made as the contract names them.
ALTER TABLE {line}.ingest_files DROP CONSTRAINT ingest_files_kind_check;
ALTER TABLE {line}.ingest_files ADD CONSTRAINT ingest_files_kind_check
    CHECK (kind IN ('claims', 'outcomes', 'reference'));
