-- Other systems that use the API: each by keys of its own, of which the hash alone is kept.
CREATE TABLE claimsight.api_keys (
    key_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system         text NOT NULL CHECK (system ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),  -- as the access log names it
    sha256         bytea NOT NULL UNIQUE,
    scopes         text[] NOT NULL CHECK (scopes <@ ARRAY['score', 'check', 'alerts', 'decisions', 'model'] AND scopes <> '{}'),
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by     text NOT NULL,
    revoked_at     timestamptz,
    revoked_by     text,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
