-- Photos of claims, and which of them show the same picture.
ALTER TABLE {line}.ingest_files DROP CONSTRAINT ingest_files_kind_check;
ALTER TABLE {line}.ingest_files ADD CONSTRAINT ingest_files_kind_check
    CHECK (kind IN ('claims', 'outcomes', 'reference', 'photos'));

-- One row for all photos that show the same: the hash is that of the first of them. Null for one too plain to have one.
-- What was shown once only (not repeated) need not be looked at to find what was used before.
CREATE TABLE {line}.pictures (
    picture_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phash          bigint,
    repeated       boolean NOT NULL DEFAULT false
);
CREATE INDEX pictures_repeated ON {line}.pictures (picture_id) WHERE repeated;
-- Two hashes that differ in 7 bits at most differ in 1 at most in some band of 16 bits. So the bands of the one as they
-- are (flips {0}) meet those of the other with no bit or any one flipped: M. Norouzi, A. Punjani and D. J. Fleet, Fast
-- Search in Hamming Space with Multi-Index Hashing, CVPR 2012.
CREATE FUNCTION {line}.photo_bands(phash bigint, flips integer[]) RETURNS integer[] LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT array_agg(band << 16 | ((phash >> 16 * band) & 65535)::integer # flip)
    FROM generate_series(0, 3) band, unnest(flips) flip
$$;
-- Without fastupdate: each photo is looked up before the next is stored.
CREATE INDEX pictures_bands ON {line}.pictures USING gin ({line}.photo_bands(phash, '{0}')) WITH (fastupdate = off);

-- A photo may come before its claim, so claim_id refers to nothing yet. Known with its claim, whenever its file came, as
-- the claim itself is from its event; but one that took another's place is known from when that was loaded.
CREATE TABLE {line}.claim_photos (
    claim_id       text NOT NULL,
    name           text NOT NULL,
    file_id        bigint NOT NULL,
    picture_id     bigint NOT NULL,
    sha256         bytea NOT NULL,
    phash          bigint,
    width          integer NOT NULL,
    height         integer NOT NULL,
    photo          bytea NOT NULL,
    thumbnail      bytea NOT NULL,
    known_at       timestamptz,
    PRIMARY KEY (claim_id, name)
);
CREATE INDEX ON {line}.claim_photos (sha256);
CREATE INDEX ON {line}.claim_photos (picture_id);
-- A JPEG cannot be packed further; trying costs time.
ALTER TABLE {line}.claim_photos ALTER photo SET STORAGE EXTERNAL, ALTER thumbnail SET STORAGE EXTERNAL;

-- Of each claim that has any: how many of its pictures another claim showed that happened no later.
-- With its owner's rights: the stages that learn from the count may not look at the photos.
CREATE FUNCTION {line}.photos_reused_as_of(moment timestamptz) RETURNS TABLE (claim_id text, photos_reused bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH shown AS (
        SELECT DISTINCT p.picture_id, c.claim_id, c.event_time
        FROM {line}.pictures r JOIN {line}.claim_photos p USING (picture_id)
        JOIN {line}.claims_as_of(moment) c USING (claim_id)
        WHERE r.repeated AND (p.known_at IS NULL OR p.known_at <= moment)
    ), counted AS (
        SELECT s.claim_id, count(*) OVER (PARTITION BY s.picture_id ORDER BY s.event_time) AS claims FROM shown s
    )
    SELECT n.claim_id, count(*) FROM counted n WHERE n.claims > 1 GROUP BY n.claim_id
$$;
