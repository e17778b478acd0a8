-- What the pages of investigators lacked: what became of a case and why, and why each alert stands on the worklist. A
-- decision is taken back by its number, and related claims are found without a look at every outcome.

-- To whom a case is assigned, until when it sleeps, whether somebody passed it on, and each such step with its note. The
-- ticket is that of the claim's page, and the reading of the claim that is entered by it is this one too.
CREATE FUNCTION {line}.console_case(person text, ticket bigint, claim_id text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_opened(person, ticket, claim_id);
    stands {line}.cases;
BEGIN
    SELECT c.* INTO stands FROM {line}.cases c WHERE c.claim_id = asked.subject;
    RETURN jsonb_build_object(
        'assigned_to', {line}.person_named(stands.assigned_to),
        'snoozed_until', CASE WHEN stands.snoozed_until > clock_timestamp() THEN stands.snoozed_until END,
        'escalated', coalesce(stands.escalated, false),
        'steps', (SELECT coalesce(jsonb_agg(jsonb_build_object('at', e.at, 'by', {line}.person_named(e.person),
                'action', e.action, 'to', {line}.person_named(e.detail ->> 'to'), 'until', e.until, 'note', e.note)
                ORDER BY e.event_id), '[]')
            FROM {line}.case_events e
            WHERE e.claim_id = asked.subject AND e.action IN ('assigned', 'snoozed', 'escalated')));
END
$$;

-- Of some alerts the strongest reason for suspicion that may be shown, in words; of one without, the strongest. It is kept
-- beside the alerts, and entered as they are.
CREATE FUNCTION {line}.console_why(claim_ids text[], moment timestamptz) RETURNS TABLE (claim_id text, reason text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    live CONSTANT integer := {line}.champion_as_of(console_why.moment);
    kept bigint;
BEGIN
    RETURN QUERY SELECT p.claim_id, coalesce(
        ({line}.in_words(jsonb_path_query_array({line}.shown_reasons(p.reasons), '$[*] ? (@.direction == "raises")')))[1],
        ({line}.in_words({line}.shown_reasons(p.reasons)))[1])
    FROM unnest(console_why.claim_ids) AS wanted (claim_id)
    CROSS JOIN LATERAL {line}.deciding_for(wanted.claim_id, live, console_why.moment) p
    WHERE p.flagged OR p.audited;
    GET DIAGNOSTICS kept = ROW_COUNT;
    INSERT INTO claimsight.access_log (line, action, model_version, purpose, detail)
    VALUES (btrim('{line}', '"'), 'reasons_kept', live, 'keeps why claims stand on the worklist of the console',
            jsonb_build_object('rows', kept));
END
$$;

-- A second press, or the same request once more, would take back the decision before: who asks names the one that is meant.
CREATE FUNCTION {line}.console_undo(person text, claim_id text, moment timestamptz, decision bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Of two at once the second waits here, and finds that it does not stand any more.
    PERFORM {line}.held_still(console_undo.claim_id, console_undo.moment);
    IF ({line}.standing_decision(console_undo.claim_id)).decision_id <> console_undo.decision THEN
        RAISE EXCEPTION 'that decision does not stand any more; load the page again';
    END IF;
    RETURN {line}.console_undo(console_undo.person, console_undo.claim_id, console_undo.moment);
END
$$;

-- What that one calls is no longer for the console itself.
ALTER FUNCTION {line}.console_undo(text, text, timestamptz) SECURITY INVOKER;

-- As in line_0019, but that the outcome of each claim is looked up: joined, the latest of all claims were found first, which
-- took a third of a second among a quarter of a million.
CREATE OR REPLACE FUNCTION {line}.console_related(person text, ticket bigint, claim_id text, moment timestamptz) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_opened(person, ticket, claim_id);
    live CONSTANT integer := {line}.champion_as_of(moment);
    shown {line}.claims;
    told jsonb;
BEGIN
    SELECT c.* INTO shown FROM {line}.claims c WHERE c.claim_id = asked.subject AND c.known_at <= moment
    ORDER BY c.revision DESC LIMIT 1;
    IF FOUND THEN
        WITH linked AS MATERIALIZED (
            SELECT r.claim_id, r.shares, c.event_time
            FROM {line}.related_to(shown, moment) r JOIN {line}.claims_as_of(moment) c ON c.claim_id = r.claim_id
            ORDER BY cardinality(r.shares) DESC, c.event_time DESC, r.claim_id LIMIT 30
        )
        SELECT jsonb_build_object(
            'values', {line}.entity_values(shown),
            'claims', coalesce(jsonb_agg(jsonb_build_object('claim_id', l.claim_id, 'event_time', l.event_time,
                'shares', l.shares, 'probability', p.fraud_probability, 'outcome', o.is_fraud)
                ORDER BY l.event_time DESC, l.claim_id), '[]')) INTO told
        FROM linked l LEFT JOIN LATERAL {line}.deciding_for(l.claim_id, live, moment) p ON true
        LEFT JOIN LATERAL (
            SELECT q.is_fraud FROM {line}.outcomes q WHERE q.claim_id = l.claim_id AND q.known_at <= moment
            ORDER BY q.known_at DESC, q.outcome_id DESC LIMIT 1
        ) o ON true;
    END IF;
    PERFORM {line}.note_reading(asked, asked.model_version,
                                jsonb_build_object('related', coalesce(jsonb_array_length(told -> 'claims'), 0)));
    RETURN told;
END
$$;

REVOKE EXECUTE ON FUNCTION {line}.console_case, {line}.console_why,
    {line}.console_undo(text, text, timestamptz, bigint) FROM PUBLIC;
