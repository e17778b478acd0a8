-- Scores bear the clock of their run, read when it began, and are seen when their batch is committed. Who was fed amid a
-- run and asks for what was scored since must be told of all of it, or what came after would be in neither feed.

-- From when on scores are to be fed to somebody who was fed at some moment, so that none is missed: from the clock of the
-- earliest run that had not ended by then. A run's end is told by its own clock, so that days can be replayed.
CREATE FUNCTION {line}.fed_from(since timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT least(fed_from.since, min(r.as_of)) FROM claimsight.job_runs r
    WHERE r.line = btrim('{line}', '"') AND r.stage = 'score'
    AND (r.status = 'running' OR r.as_of + (r.ended_at - r.started_at) >= fed_from.since)
$$;

-- As in line_0021, but for that. Later pages follow from the cursor alone: claims come by when they were scored.
CREATE OR REPLACE FUNCTION {line}.api_alerts(
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
    WHERE w.flagged AND w.scored_as_of >= (SELECT {line}.fed_from(coalesce(api_alerts.since, '-infinity')))
    AND (w.scored_as_of, w.claim_id) > (coalesce(api_alerts.after_scored, '-infinity'), coalesce(api_alerts.after_claim, ''))
    ORDER BY w.scored_as_of, w.claim_id LIMIT least(api_alerts.most, 1000);
    GET DIAGNOSTICS shown = ROW_COUNT;
    PERFORM {line}.note_reading(asked, asked.model_version, jsonb_build_object('rows', shown));
END
$$;
