-- When a decision was entered. It is known from the moment that it tells: of a file that comes late that lies in the past, and
-- who asked for decisions since then was never told of it. For those that are there it is unknown; they count as new once.
ALTER TABLE {line}.outcomes ADD COLUMN entered_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- As in line_0021, but for that. A load of etl is seen as a whole at its end, and a system's decision within a minute.
CREATE OR REPLACE FUNCTION {line}.api_decisions(
    system text, ticket bigint, moment timestamptz, since timestamptz, after bigint, most integer
) RETURNS TABLE (decision_id bigint, claim_id text, is_fraud boolean, decided_at timestamptz, known_at timestamptz, source text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_redeemed(api_decisions.system, api_decisions.ticket, 'api_decisions');
    entered CONSTANT timestamptz := (
        SELECT least(api_decisions.since - interval '1 minute', min(r.started_at)) FROM claimsight.job_runs r
        WHERE r.line = btrim('{line}', '"') AND r.stage = 'etl' AND (r.status = 'running' OR r.ended_at >= api_decisions.since)
    );
    shown bigint;
BEGIN
    RETURN QUERY SELECT o.outcome_id, o.claim_id, o.is_fraud, o.decided_at, o.known_at, o.source FROM {line}.outcomes o
    WHERE o.known_at <= api_decisions.moment AND (api_decisions.since IS NULL OR o.entered_at >= entered)
    AND o.outcome_id > coalesce(api_decisions.after, 0) ORDER BY o.outcome_id LIMIT least(api_decisions.most, 1000);
    GET DIAGNOSTICS shown = ROW_COUNT;
    PERFORM {line}.note_reading(asked, asked.model_version, jsonb_build_object('rows', shown));
END
$$;
