-- What a sender's header was, null where no whole row was read, and what was new in it and in the categories.
ALTER TABLE {line}.ingest_files ADD COLUMN columns text[], ADD COLUMN changes text[] NOT NULL DEFAULT '{}';

-- What the columns of few different values have held so far, where the contract does not list it.
CREATE TABLE {line}.levels (
    column_name    text NOT NULL,
    level          text NOT NULL,
    file_id        bigint NOT NULL,
    PRIMARY KEY (column_name, level)
);
