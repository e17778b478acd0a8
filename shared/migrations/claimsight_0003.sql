-- People who use the console, and who of them is signed in.
CREATE TABLE claimsight.people (
    person_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login          text NOT NULL UNIQUE CHECK (login ~ '^[^[:space:][:cntrl:]]{1,128}$'),
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    roles          text[] NOT NULL CHECK (roles <@ ARRAY['investigator', 'data_scientist', 'auditor', 'admin']),
    password_hash  text,        -- argon2id; null for one who signs in elsewhere
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- By the hash of its token: whoever reads the table cannot use what stands in it.
CREATE TABLE claimsight.sessions (
    token_hash     bytea PRIMARY KEY,
    person_id      bigint NOT NULL REFERENCES claimsight.people,
    csrf_token     text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at     timestamptz NOT NULL
);
CREATE INDEX ON claimsight.sessions (person_id);

-- Who sat before the console, as the console says; `who` stays its own login.
ALTER TABLE claimsight.access_log ADD COLUMN person text;
CREATE INDEX ON claimsight.access_log (at);
-- What can be done is told by the functions that enter it.
ALTER TABLE claimsight.access_log DROP CONSTRAINT access_log_action_check;
ALTER TABLE claimsight.access_log ADD CONSTRAINT access_log_action_check CHECK (action ~ '^[a-z_]{3,40}$');
