-- What other systems get through the API. The console has no right on claims: these work with their owner's rights, ask
-- whether the key is good for it, and enter who was told what.

-- The latest outcome of a claim before some moment, without a look at its row: the past of one claim takes hundreds of them.
CREATE INDEX outcomes_known ON {line}.outcomes (claim_id, known_at, outcome_id) INCLUDE (is_fraud);

-- Answers to requests that came with an Idempotency-Key, kept for a day; none yet while the first is still at work.
CREATE TABLE {line}.api_answers (
    key_id          bigint NOT NULL REFERENCES claimsight.api_keys,
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    request_sha256  bytea NOT NULL,
    claim_id        text,           -- so that it goes with its claim when that is forgotten
    status          smallint,
    answer          text,
    asked_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (key_id, idempotency_key)
);
CREATE INDEX ON {line}.api_answers (asked_at);
CREATE INDEX ON {line}.api_answers (claim_id);

CREATE FUNCTION {line}.api_may(key bigint, system text, scope text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM claimsight.api_keys k WHERE k.key_id = api_may.key AND k.system = api_may.system
        AND k.revoked_at IS NULL AND api_may.scope = ANY (k.scopes)
    ) THEN
        RAISE EXCEPTION 'the key is not good for %', api_may.scope USING ERRCODE = '42501';
    END IF;
END
$$;

-- First step of each reading of many claims, as people take it; see line_0012 and line_0017.
CREATE FUNCTION {line}.api_ask(key bigint, system text, scope text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ticket bigint;
BEGIN
    PERFORM {line}.api_may(api_ask.key, api_ask.system, api_ask.scope);
    INSERT INTO claimsight.access_log (line, action, model_version, purpose, person, detail)
    VALUES (btrim('{line}', '"'), 'api_' || api_ask.scope, {line}.champion_as_of(now()), 'asked by a system over the API',
            api_ask.system, jsonb_build_object('key', api_ask.key))
    RETURNING entry_id INTO ticket;
    RETURN ticket;
END
$$;

-- The past of claims that are about to be scored, one entry each; none where that was entered.
CREATE FUNCTION {line}.api_past(moment timestamptz, version integer, asked jsonb)
RETURNS TABLE (place integer, at timestamptz, past double precision[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {line}.api_may(k.key, k.system, CASE WHEN k.scope = 'check' THEN 'check' ELSE 'score' END)
    FROM (SELECT DISTINCT r.key, r.system, r.scope
          FROM jsonb_to_recordset(api_past.asked) AS r (key bigint, system text, scope text)) k;
    INSERT INTO claimsight.access_log (line, action, subject, model_version, purpose, person, detail)
    SELECT btrim('{line}', '"'), 'api_score', r.claim_id, api_past.version, 'scored for a system over the API', r.system,
           jsonb_build_object('key', r.key)
    FROM jsonb_to_recordset(api_past.asked) AS r (key bigint, system text, claim_id text, entered boolean)
    WHERE r.entered IS NOT TRUE;
    RETURN QUERY SELECT p.place, p.at, p.past FROM {line}.past_of_claims(api_past.moment, api_past.asked) p;
END
$$;

CREATE FUNCTION {line}.api_daily_sums(moment timestamptz) RETURNS TABLE (day date, kind text, one bigint, other bigint)
LANGUAGE plpgsql SECURITY DEFINER STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT d.day, d.kind, d.one, d.other FROM {line}.daily_sums(api_daily_sums.moment) d;
END
$$;

-- What a reference table of the contract tells by some keys.
CREATE FUNCTION {line}.api_reference(reference text, keys text[]) RETURNS SETOF jsonb
LANGUAGE plpgsql SECURITY DEFINER STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT to_jsonb(r) FROM {line}.%I r WHERE r.key = ANY ($1)', 'reference_' || reference)
    USING keys;
END
$$;

-- Open flagged claims by when they were scored, after some place in that order.
CREATE FUNCTION {line}.api_alerts(
    system text, ticket bigint, moment timestamptz, since timestamptz, after_scored timestamptz, after_claim text, most integer
) RETURNS TABLE (
    claim_id text, week date, rank_in_week bigint, event_time timestamptz, fraud_probability double precision,
    amount double precision, expected_loss double precision, model_version integer, arm text, scored_as_of timestamptz,
    reasons jsonb, words text[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_redeemed(api_alerts.system, api_alerts.ticket, 'api_alerts');
    shown bigint;
BEGIN
    RETURN QUERY SELECT w.claim_id, w.week, w.rank_in_week, w.event_time, w.fraud_probability, w.amount, w.expected_loss,
        w.model_version, w.arm, w.scored_as_of, w.reasons, {line}.in_words(w.reasons)
    FROM {line}.worklist_as_of(api_alerts.moment) w
    WHERE w.flagged AND w.scored_as_of >= coalesce(api_alerts.since, '-infinity')
    AND (w.scored_as_of, w.claim_id) > (coalesce(api_alerts.after_scored, '-infinity'), coalesce(api_alerts.after_claim, ''))
    ORDER BY w.scored_as_of, w.claim_id LIMIT least(api_alerts.most, 1000);
    GET DIAGNOSTICS shown = ROW_COUNT;
    PERFORM {line}.note_reading(asked, asked.model_version, jsonb_build_object('rows', shown));
END
$$;

-- A decision of another system, as one of the console's: an outcome without a file, known from now on.
CREATE FUNCTION {line}.api_decide(
    key bigint, system text, moment timestamptz, claim text, fraud boolean, decided timestamptz
) RETURNS TABLE (decision_id bigint, claim_id text, is_fraud boolean, decided_at timestamptz, known_at timestamptz, source text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM {line}.api_may(api_decide.key, api_decide.system, 'decisions');
    IF NOT EXISTS (SELECT FROM {line}.claims_as_of(api_decide.moment) c WHERE c.claim_id = api_decide.claim) THEN
        RAISE EXCEPTION 'there is no such claim' USING ERRCODE = 'no_data_found';
    ELSIF coalesce(api_decide.decided, api_decide.moment) > api_decide.moment THEN
        RAISE EXCEPTION 'decided_at lies in the future' USING ERRCODE = '22023';
    END IF;
    INSERT INTO claimsight.access_log (line, action, subject, model_version, purpose, person, detail)
    VALUES (btrim('{line}', '"'), 'api_decide', api_decide.claim, {line}.champion_as_of(api_decide.moment),
            'decided by a system over the API', api_decide.system, jsonb_build_object('key', api_decide.key));
    RETURN QUERY INSERT INTO {line}.outcomes AS o (claim_id, is_fraud, decided_at, known_at, source, actor)
    VALUES (api_decide.claim, api_decide.fraud, coalesce(api_decide.decided, api_decide.moment),
            api_decide.moment, api_decide.system, api_decide.system)
    RETURNING o.outcome_id, o.claim_id, o.is_fraud, o.decided_at, o.known_at, o.source;
END
$$;

CREATE FUNCTION {line}.api_decisions(
    system text, ticket bigint, moment timestamptz, since timestamptz, after bigint, most integer
) RETURNS TABLE (decision_id bigint, claim_id text, is_fraud boolean, decided_at timestamptz, known_at timestamptz, source text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_redeemed(api_decisions.system, api_decisions.ticket, 'api_decisions');
    shown bigint;
BEGIN
    RETURN QUERY SELECT o.outcome_id, o.claim_id, o.is_fraud, o.decided_at, o.known_at, o.source FROM {line}.outcomes o
    WHERE o.known_at <= api_decisions.moment AND o.known_at >= coalesce(api_decisions.since, '-infinity')
    AND o.outcome_id > coalesce(api_decisions.after, 0) ORDER BY o.outcome_id LIMIT least(api_decisions.most, 1000);
    GET DIAGNOSTICS shown = ROW_COUNT;
    PERFORM {line}.note_reading(asked, asked.model_version, jsonb_build_object('rows', shown));
END
$$;

-- Claims that a model has scored last, with what it said, to be scored once more for comparison.
CREATE FUNCTION {line}.api_check(system text, ticket bigint, moment timestamptz, version integer, most integer)
RETURNS TABLE (claim jsonb, scored_as_of timestamptz, fraud_probability double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_redeemed(api_check.system, api_check.ticket, 'api_check');
    claims text[];
BEGIN
    -- By run first: its rows are found without looking at all others.
    SELECT array_agg(l.claim_id) INTO claims FROM (
        SELECT p.claim_id FROM {line}.predictions p
        WHERE p.run_id = (SELECT max(r.run_id) FROM {line}.predictions r WHERE r.model_version = api_check.version
                          AND r.variant = 'champion' AND r.scored_as_of <= api_check.moment)
        AND p.model_version = api_check.version AND p.variant = 'champion' ORDER BY p.claim_id LIMIT least(api_check.most, 20)
    ) l;
    PERFORM {line}.note_reading(asked, api_check.version, jsonb_build_object('claims', coalesce(claims, '{}')));
    RETURN QUERY SELECT to_jsonb(c), p.scored_as_of, p.fraud_probability
    FROM unnest(claims) AS l (claim_id) JOIN {line}.predictions p ON p.claim_id = l.claim_id
    AND p.model_version = api_check.version AND p.variant = 'champion'
    JOIN LATERAL (SELECT v.* FROM {line}.claims v WHERE v.claim_id = l.claim_id AND v.known_at <= p.scored_as_of
                  AND (v.superseded_at IS NULL OR v.superseded_at > p.scored_as_of)) c ON true;
END
$$;

-- An answer that is kept: begun before the work and finished after it. What was begun and not finished within a minute
-- was abandoned, and may be begun again.
CREATE FUNCTION {line}.api_begin(key bigint, idempotency_key text, request_sha256 bytea)
RETURNS TABLE (is_first boolean, is_same boolean, status smallint, answer text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    begun boolean;
BEGIN
    DELETE FROM {line}.api_answers a WHERE a.asked_at < clock_timestamp() - interval '1 day'
    OR a.key_id = api_begin.key AND a.idempotency_key = api_begin.idempotency_key AND a.status IS NULL
    AND a.asked_at < clock_timestamp() - interval '1 minute';
    INSERT INTO {line}.api_answers (key_id, idempotency_key, request_sha256)
    VALUES (api_begin.key, api_begin.idempotency_key, api_begin.request_sha256) ON CONFLICT DO NOTHING;
    begun := FOUND;
    RETURN QUERY SELECT begun, a.request_sha256 = api_begin.request_sha256, a.status, a.answer FROM {line}.api_answers a
    WHERE a.key_id = api_begin.key AND a.idempotency_key = api_begin.idempotency_key;
END
$$;

CREATE FUNCTION {line}.api_finish(key bigint, idempotency_key text, claim_id text, status integer, answer text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF api_finish.status IS NULL THEN
        DELETE FROM {line}.api_answers a
        WHERE a.key_id = api_finish.key AND a.idempotency_key = api_finish.idempotency_key AND a.status IS NULL;
    ELSE
        UPDATE {line}.api_answers a
        SET claim_id = api_finish.claim_id, status = api_finish.status, answer = api_finish.answer
        WHERE a.key_id = api_finish.key AND a.idempotency_key = api_finish.idempotency_key;
    END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION {line}.api_may, {line}.api_ask, {line}.api_past, {line}.api_daily_sums, {line}.api_reference,
    {line}.api_alerts, {line}.api_decide, {line}.api_decisions, {line}.api_check, {line}.api_begin, {line}.api_finish
    FROM PUBLIC;
