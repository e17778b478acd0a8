-- What analysts may see, and how they get at it. They have no right on any table: they call the functions at the end of
-- this file, which work with their owner's rights, look at nothing but what they name in full, and write to
-- claimsight.access_log.

-- Rows of a run: they lie together, as they were written.
CREATE INDEX predictions_run ON {line}.predictions USING brin (run_id) WITH (autosummarize = on);
CREATE INDEX predictions_looked_at ON {line}.predictions (model_version) WHERE flagged OR audited;

-- These three disclose nothing until the contract says what they may: `shared.access` makes them anew at each start of a
-- stage where it says something else.
CREATE FUNCTION {line}.claim_facts(claim {line}.claims) RETURNS jsonb LANGUAGE sql STABLE AS $$SELECT '{}'::jsonb$$;
CREATE FUNCTION {line}.claim_stake(claim {line}.claims) RETURNS double precision LANGUAGE sql STABLE
AS $$SELECT NULL::double precision$$;
CREATE FUNCTION {line}.shown_reasons(reasons jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$SELECT '[]'::jsonb$$;

-- A model of an earlier release gave its reasons no sentence.
CREATE FUNCTION {line}.in_words(reasons jsonb) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(coalesce(
        reason ->> 'text',
        concat(reason ->> 'feature', coalesce(' = ' || value, ' is unknown'), ' ', reason ->> 'direction', ' the probability')
    ) ORDER BY place)
    FROM jsonb_array_elements(reasons) WITH ORDINALITY AS listed (reason, place)
    CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(reason -> 'value')
        WHEN 'number' THEN trim_scale(round((reason -> 'value')::numeric, 2))::text ELSE reason ->> 'value' END) AS told (value)
$$;

CREATE FUNCTION {line}.champion_as_of(moment timestamptz) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT model_version FROM {line}.model_history WHERE alias = 'champion' AND as_of <= moment
    ORDER BY as_of DESC, entry_id DESC LIMIT 1
$$;

-- Of each claim the prediction that decides: the champion's, or in its arm that of the newest challenger. A claim of that
-- arm which the challenger has not scored yet is not left out: the champion's counts.
CREATE FUNCTION {line}.deciding_as_of(moment timestamptz) RETURNS SETOF {line}.predictions LANGUAGE sql STABLE AS $$
    WITH live AS (SELECT {line}.champion_as_of(moment) AS version)
    SELECT p.* FROM {line}.predictions p, live
    WHERE p.scored_as_of <= moment AND p.model_version >= live.version
    AND (p.variant = 'champion' AND p.model_version = live.version OR p.variant = 'challenger' AND p.arm = 'challenger')
    AND NOT EXISTS (
        SELECT FROM {line}.predictions q
        WHERE q.claim_id = p.claim_id AND q.variant = 'challenger' AND q.arm = 'challenger'
        AND q.model_version >= live.version AND q.scored_as_of <= moment
        AND (p.variant = 'champion' OR q.model_version > p.model_version)
    )
$$;

-- What investigators look at: open claims that are flagged or drawn for the audit sample, ranked within the week (from
-- Monday, UTC) of their event.
CREATE FUNCTION {line}.worklist_as_of(moment timestamptz) RETURNS TABLE (
    week date, rank_in_week bigint, claim_id text, event_time timestamptz, fraud_probability double precision,
    amount double precision, expected_loss double precision, flagged boolean, audited boolean, arm text,
    model_version integer, scored_as_of timestamptz, reasons jsonb
) LANGUAGE sql STABLE AS $$
    SELECT listed.week, row_number() OVER (PARTITION BY listed.week ORDER BY listed.fraud_probability DESC, listed.claim_id),
           listed.claim_id, listed.event_time, listed.fraud_probability, listed.stake,
           listed.fraud_probability * listed.stake, listed.flagged, listed.audited, listed.arm, listed.model_version,
           listed.scored_as_of, {line}.shown_reasons(listed.reasons)
    FROM (
        SELECT p.*, c.event_time, date_trunc('week', c.event_time AT TIME ZONE 'UTC')::date AS week,
               {line}.claim_stake(c) AS stake
        FROM {line}.deciding_as_of(moment) p JOIN {line}.claims_as_of(moment) c USING (claim_id)
        WHERE (p.flagged OR p.audited)
        AND NOT EXISTS (SELECT FROM {line}.outcomes o WHERE o.claim_id = p.claim_id AND o.known_at <= moment)
    ) listed
$$;
CREATE VIEW {line}.worklist AS SELECT * FROM {line}.worklist_as_of(now());

-- First step: say what for. The entry must be committed before anything is shown, so that no rollback takes it back.
CREATE FUNCTION {line}.ask(action text, subject text, purpose text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wants_claim CONSTANT boolean := ask.action IN ('claim', 'prediction_history');
    ticket bigint;
BEGIN
    IF ask.action IS NULL OR ask.action NOT IN ('worklist', 'claim', 'performance', 'prediction_history') THEN
        RAISE EXCEPTION 'ask for worklist, claim, performance or prediction_history' USING ERRCODE = '22023';
    ELSIF wants_claim AND btrim(coalesce(ask.subject, '')) = '' THEN
        RAISE EXCEPTION 'name the claim: ask(''%'', ''its id'', ''purpose'')', ask.action USING ERRCODE = '22023';
    ELSIF NOT wants_claim AND ask.subject IS NOT NULL THEN
        RAISE EXCEPTION '% is of all claims: ask(''%'', NULL, ''purpose'')', ask.action, ask.action USING ERRCODE = '22023';
    ELSIF length(regexp_replace(coalesce(ask.purpose, ''), '[[:space:][:punct:]]', '', 'g')) < 5 THEN
        RAISE EXCEPTION 'say for what purpose, in at least five letters: it is kept beside your name'
            USING ERRCODE = '22023';
    ELSIF length(ask.purpose) > 500 OR length(ask.subject) > 255 THEN
        RAISE EXCEPTION 'a purpose has at most 500 characters, and the id of a claim 255' USING ERRCODE = '22023';
    END IF;
    INSERT INTO claimsight.access_log (line, action, subject, model_version, purpose)
    VALUES (btrim('{line}', '"'), ask.action, ask.subject, {line}.champion_as_of(now()), ask.purpose)
    RETURNING entry_id INTO ticket;
    RETURN ticket;
END
$$;

-- What a ticket was given for, where it is the caller's own, for this, committed, and of the last hour.
CREATE FUNCTION {line}.redeemed(ticket bigint, action text) RETURNS claimsight.access_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked claimsight.access_log;
BEGIN
    SELECT l.* INTO asked FROM claimsight.access_log l
    WHERE l.entry_id = redeemed.ticket AND l.who = session_user AND l.line = btrim('{line}', '"')
    AND l.action = redeemed.action AND l.ticket IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'you have no such ticket for %; get one by ask(''%'', ...)', redeemed.action, redeemed.action
            USING ERRCODE = '42501';
    ELSIF asked.at < clock_timestamp() - interval '1 hour' THEN
        RAISE EXCEPTION 'the ticket is more than an hour old; ask anew' USING ERRCODE = '42501';
    ELSIF pg_xact_status(asked.xact) IS DISTINCT FROM 'committed' THEN
        RAISE EXCEPTION 'what you asked for is not committed yet; end the transaction of ask(), and use the ticket after it'
            USING ERRCODE = '42501';
    END IF;
    RETURN asked;
END
$$;

CREATE FUNCTION {line}.note_reading(asked claimsight.access_log, model_version integer, detail jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO claimsight.access_log (line, action, subject, model_version, purpose, detail, ticket)
    VALUES (asked.line, asked.action, asked.subject, note_reading.model_version, asked.purpose, note_reading.detail,
            asked.entry_id)
$$;

-- Second step: show it, and tell what was shown.
CREATE FUNCTION {line}.worklist(ticket bigint) RETURNS TABLE (
    week date, rank_in_week bigint, claim_id text, event_time timestamptz, fraud_probability double precision,
    amount double precision, expected_loss double precision, flagged boolean, audited boolean, arm text,
    model_version integer, reasons text[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.redeemed(worklist.ticket, 'worklist');
    shown bigint;
BEGIN
    RETURN QUERY SELECT w.week, w.rank_in_week, w.claim_id, w.event_time, w.fraud_probability, w.amount, w.expected_loss,
        w.flagged, w.audited, w.arm, w.model_version, {line}.in_words(w.reasons)
    FROM {line}.worklist_as_of(now()) w ORDER BY w.week DESC, w.rank_in_week;
    GET DIAGNOSTICS shown = ROW_COUNT;
    PERFORM {line}.note_reading(asked, {line}.champion_as_of(now()), jsonb_build_object('rows', shown));
END
$$;

CREATE FUNCTION {line}.claim(ticket bigint) RETURNS TABLE (
    claim_id text, event_time timestamptz, facts jsonb, fraud_probability double precision, flagged boolean,
    audited boolean, arm text, model_version integer, scored_as_of timestamptz, reasons text[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.redeemed(claim.ticket, 'claim');
    decided {line}.predictions;
    shown bigint;
BEGIN
    SELECT p.* INTO decided FROM {line}.deciding_as_of(now()) p WHERE p.claim_id = asked.subject;
    RETURN QUERY SELECT c.claim_id, c.event_time, {line}.claim_facts(c), decided.fraud_probability, decided.flagged,
        decided.audited, decided.arm, decided.model_version, decided.scored_as_of,
        {line}.in_words({line}.shown_reasons(decided.reasons))
    FROM {line}.claims_as_of(now()) c WHERE c.claim_id = asked.subject;
    GET DIAGNOSTICS shown = ROW_COUNT;
    PERFORM {line}.note_reading(asked, decided.model_version, jsonb_build_object('rows', shown));
END
$$;

CREATE FUNCTION {line}.prediction_history(ticket bigint) RETURNS TABLE (
    claim_id text, model_version integer, variant text, arm text, decides boolean, fraud_probability double precision,
    flagged boolean, audited boolean, scored_as_of timestamptz, reasons text[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.redeemed(prediction_history.ticket, 'prediction_history');
    versions integer[];
BEGIN
    RETURN QUERY SELECT p.claim_id, p.model_version, p.variant, p.arm, p.variant = p.arm, p.fraud_probability, p.flagged,
        p.audited, p.scored_as_of, {line}.in_words({line}.shown_reasons(p.reasons))
    FROM {line}.predictions p WHERE p.claim_id = asked.subject ORDER BY p.run_id, p.model_version, p.variant;
    SELECT array_agg(DISTINCT p.model_version) INTO versions FROM {line}.predictions p WHERE p.claim_id = asked.subject;
    PERFORM {line}.note_reading(asked, asked.model_version, jsonb_build_object('model_versions', versions));
END
$$;

-- By counts alone. What is flagged and what was drawn for the audit are told apart: frauds found among flagged claims say
-- how often a flag is right, and those among audited ones how many are missed.
CREATE FUNCTION {line}.performance(ticket bigint) RETURNS TABLE (
    model_version integer, family text, trained_as_of timestamptz, verdict text, live_since timestamptz, scored bigint,
    flagged bigint, flagged_decided bigint, flagged_frauds bigint, audited bigint, audited_decided bigint,
    audited_frauds bigint, judged jsonb
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.redeemed(performance.ticket, 'performance');
    shown bigint;
BEGIN
    RETURN QUERY
    WITH counted AS (
        SELECT p.model_version AS version, count(*) AS scored,
               count(*) FILTER (WHERE p.flagged) AS flagged,
               count(o.claim_id) FILTER (WHERE p.flagged) AS flagged_decided,
               count(*) FILTER (WHERE p.flagged AND o.is_fraud) AS flagged_frauds,
               count(*) FILTER (WHERE p.audited) AS audited,
               count(o.claim_id) FILTER (WHERE p.audited) AS audited_decided,
               count(*) FILTER (WHERE p.audited AND o.is_fraud) AS audited_frauds
        FROM {line}.predictions p LEFT JOIN {line}.outcomes_as_of(now()) o USING (claim_id)
        WHERE p.variant = p.arm GROUP BY p.model_version
    )
    SELECT m.model_version, m.family, m.as_of, CASE h.alias WHEN 'champion' THEN 'promoted' ELSE h.alias END,
           (SELECT min(e.as_of) FROM {line}.model_history e WHERE e.model_version = m.model_version AND e.alias = 'champion'),
           coalesce(n.scored, 0), coalesce(n.flagged, 0), coalesce(n.flagged_decided, 0), coalesce(n.flagged_frauds, 0),
           coalesce(n.audited, 0), coalesce(n.audited_decided, 0), coalesce(n.audited_frauds, 0), h.metrics -> 'ranking'
    FROM {line}.models m LEFT JOIN counted n ON n.version = m.model_version
    LEFT JOIN LATERAL (
        SELECT e.alias, e.metrics FROM {line}.model_history e
        WHERE e.model_version = m.model_version AND e.action = 'judged' ORDER BY e.entry_id DESC LIMIT 1
    ) h ON true
    ORDER BY m.model_version;
    GET DIAGNOSTICS shown = ROW_COUNT;
    PERFORM {line}.note_reading(asked, asked.model_version, jsonb_build_object('rows', shown));
END
$$;

-- Postgres lets everyone call a new function. `shared.access` grants these to the roles that they are for; that of the
-- photos, which tells the ids of claims, to the stages.
REVOKE EXECUTE ON FUNCTION {line}.ask, {line}.redeemed, {line}.note_reading, {line}.worklist, {line}.claim,
    {line}.prediction_history, {line}.performance, {line}.photos_reused_as_of FROM PUBLIC;
