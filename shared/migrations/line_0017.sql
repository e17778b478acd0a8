-- How the console gets at claims: in two steps, as analysts do, but for a person whom it names. It has no right on claims
-- and what is said of them; it calls functions that work with their owner's rights and enter each reading.

CREATE FUNCTION {line}.console_ask(person text, action text, subject text, purpose text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ticket bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM claimsight.people p WHERE p.login = console_ask.person AND p.disabled_at IS NULL) THEN
        RAISE EXCEPTION 'nobody of that name uses the console' USING ERRCODE = '42501';
    ELSIF length(regexp_replace(coalesce(console_ask.purpose, ''), '[[:space:][:punct:]]', '', 'g')) < 5 THEN
        RAISE EXCEPTION 'say for what purpose, in at least five letters: it is kept beside your name'
            USING ERRCODE = '22023';
    ELSIF length(console_ask.purpose) > 500 OR length(console_ask.subject) > 255 THEN
        RAISE EXCEPTION 'a purpose has at most 500 characters, and the id of a claim 255' USING ERRCODE = '22023';
    END IF;
    INSERT INTO claimsight.access_log (line, action, subject, model_version, purpose, person)
    VALUES (btrim('{line}', '"'), console_ask.action, console_ask.subject, {line}.champion_as_of(now()),
            console_ask.purpose, console_ask.person)
    RETURNING entry_id INTO ticket;
    RETURN ticket;
END
$$;

-- As `redeemed`, and of the same person.
CREATE FUNCTION {line}.console_redeemed(person text, ticket bigint, action text) RETURNS claimsight.access_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.redeemed(console_redeemed.ticket, console_redeemed.action);
BEGIN
    IF asked.person IS DISTINCT FROM console_redeemed.person THEN
        RAISE EXCEPTION 'the ticket is another person''s' USING ERRCODE = '42501';
    END IF;
    RETURN asked;
END
$$;

-- Each reading is the same person's as the ticket.
CREATE OR REPLACE FUNCTION {line}.note_reading(asked claimsight.access_log, model_version integer, detail jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO claimsight.access_log (line, action, subject, model_version, purpose, detail, ticket, person)
    VALUES (asked.line, asked.action, asked.subject, note_reading.model_version, asked.purpose, note_reading.detail,
            asked.entry_id, asked.person)
$$;

REVOKE EXECUTE ON FUNCTION {line}.console_ask, {line}.console_redeemed FROM PUBLIC;
