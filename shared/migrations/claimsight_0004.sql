-- Signing in to the console: by a provider of identities or by a password, and what administrators do with people.
ALTER TABLE claimsight.people
    -- Who it is with the provider; both null for one who signs in with a password.
    ADD COLUMN issuer text,
    ADD COLUMN subject text,
    -- A password that an administrator handed over: good until then, and for nothing but choosing another.
    ADD COLUMN one_time_until timestamptz,
    ADD COLUMN signed_in_at timestamptz,
    ADD CONSTRAINT people_identity UNIQUE (issuer, subject),
    ADD CONSTRAINT people_way CHECK ((issuer IS NULL) = (subject IS NULL) AND (issuer IS NULL OR password_hash IS NULL));

-- Sign-ins that are under way at the provider: each good for one return of the browser that began it.
CREATE TABLE claimsight.oidc_requests (
    state_hash     bytea PRIMARY KEY,
    browser_hash   bytea NOT NULL,
    nonce          text NOT NULL,
    code_verifier  text NOT NULL,
    goes_to        text NOT NULL,
    expires_at     timestamptz NOT NULL
);

-- What is done about people, passwords and keys stands in the log, of which the console can read and change nothing. It
-- can enter such things alone: a reading of a claim is entered by the functions that show claims.
CREATE FUNCTION claimsight.console_note(person text, line text, action text, subject text, detail jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF console_note.action <> ALL (ARRAY['signed_in', 'password_changed', 'person_added', 'roles_changed', 'person_disabled',
                                         'person_enabled', 'password_reset', 'key_created', 'key_revoked']) THEN
        RAISE EXCEPTION 'no such thing is entered by hand' USING ERRCODE = '42501';
    -- Nobody sits before the command line, by which the first are let in.
    ELSIF console_note.person IS NULL AND console_note.action <> 'person_added'
        OR console_note.person IS NOT NULL AND NOT EXISTS (
            SELECT FROM claimsight.people p WHERE p.login = console_note.person AND p.disabled_at IS NULL
        ) THEN
        RAISE EXCEPTION 'nobody of that name uses the console' USING ERRCODE = '42501';
    END IF;
    INSERT INTO claimsight.access_log (line, action, subject, purpose, detail, person)
    VALUES (console_note.line, console_note.action, console_note.subject, 'administration', console_note.detail,
            console_note.person);
END
$$;
REVOKE EXECUTE ON FUNCTION claimsight.console_note FROM PUBLIC;
