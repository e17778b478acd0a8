-- What the console's pages of models, of the operation and of the log need beyond the tables that it may read.

-- A decision that a person makes in the console is no run.
ALTER TABLE {line}.model_history ALTER COLUMN run_id DROP NOT NULL,
    ADD CONSTRAINT model_history_run_check CHECK (run_id IS NOT NULL OR action = 'rollback');

-- Versions that led to the champion of a moment, who is the last; going back takes off what it went back from.
CREATE FUNCTION {line}.succession_as_of(moment timestamptz) RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found integer[] := '{}';
    version integer;
    wanted text;
BEGIN
    FOR version, wanted IN
        SELECT h.model_version, h.action FROM {line}.model_history h
        WHERE h.alias = 'champion' AND h.as_of <= moment ORDER BY h.as_of, h.entry_id
    LOOP
        IF wanted = 'rollback' AND version = ANY (found) THEN
            found := found[:(SELECT max(place) FROM unnest(array_positions(found, version)) place)];
        ELSE
            found := found || version;
        END IF;
    END LOOP;
    RETURN found;
END
$$;

-- The console says who sits before it; what they may do is looked up here too.
CREATE FUNCTION {line}.console_must_be(person text, role text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM claimsight.people p WHERE p.login = console_must_be.person AND p.disabled_at IS NULL
        AND console_must_be.role = ANY (p.roles)
    ) THEN
        RAISE EXCEPTION 'that takes the role of %', replace(role, '_', ' ') USING ERRCODE = '42501';
    END IF;
END
$$;

-- Go back to the champion before, as `evaluate --rollback` does: `standing` is the champion whom the person saw, and
-- where another one stands by now nothing happens. Evaluate's own lock keeps a verdict from coming between.
CREATE FUNCTION {line}.console_rollback(person text, standing integer, reason text, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    line CONSTANT text := btrim('{line}', '"');
    succession integer[];
    judged {line}.model_history;
    before integer;
BEGIN
    PERFORM {line}.console_must_be(console_rollback.person, 'data_scientist');
    IF length(regexp_replace(coalesce(console_rollback.reason, ''), '[[:space:][:punct:]]', '', 'g')) < 5
        OR length(console_rollback.reason) > 500 THEN
        RAISE EXCEPTION 'say why, in five letters to 500: it is kept beside your name' USING ERRCODE = '22023';
    ELSIF NOT pg_try_advisory_xact_lock(hashtextextended('claimsight:evaluate:' || line || ':0/1', 0)) THEN
        RAISE EXCEPTION 'somebody else is deciding about the models of % at this moment; look again', line;
    ELSIF EXISTS (SELECT FROM {line}.model_history h WHERE h.as_of > moment) THEN
        RAISE EXCEPTION 'the clock stands before the last decision: what was live in the past cannot be changed';
    END IF;
    succession := {line}.succession_as_of(moment);
    before := succession[cardinality(succession) - 1];
    IF standing IS DISTINCT FROM succession[cardinality(succession)] THEN
        RAISE EXCEPTION 'model % is not the champion any more; look again', standing;
    ELSIF before IS NULL THEN
        RAISE EXCEPTION 'there was no champion before model %', standing;
    END IF;
    SELECT h.* INTO judged FROM {line}.model_history h
    WHERE h.model_version = before AND h.action = 'judged' ORDER BY h.entry_id DESC LIMIT 1;
    IF judged.threshold IS NULL THEN
        RAISE EXCEPTION 'model % was judged on no claims; without, there is no threshold to flag by', before;
    END IF;
    INSERT INTO {line}.model_history (model_version, alias, action, from_version, to_version, actor, reason, threshold,
                                      judged_start, judged_end, metrics, gates, as_of)
    VALUES (before, 'champion', 'rollback', standing, before, console_rollback.person, console_rollback.reason,
            judged.threshold, judged.judged_start, judged.judged_end, judged.metrics, judged.gates, moment);
    INSERT INTO claimsight.access_log (line, action, model_version, purpose, detail, person)
    VALUES (line, 'rollback', before, console_rollback.reason, jsonb_build_object('from', standing, 'to', before),
            console_rollback.person);
    RETURN before;
END
$$;

-- What waits for what, by the days since the claim; `ages` are those at which one group ends and the next begins. Where
-- a line knows no outcomes, claims wait for a rank only. What a model cannot score does not wait: it is told by reason.
CREATE FUNCTION {line}.console_queues(moment timestamptz, labelled boolean, ages double precision[])
RETURNS TABLE (queue text, reason text, place integer, claims bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Without statistics Postgres would hold each claim against each score.
SET enable_nestloop = off AS $$
    WITH holds AS (
        SELECT CASE WHEN labelled THEN {line}.champion_as_of(moment) ELSE (
            SELECT max(m.model_version) FROM {line}.models m WHERE m.family = 'anomaly' AND m.as_of <= moment
        ) END AS version
    ), beyond AS (
        SELECT u.claim_id, u.reason FROM {line}.unscorable_claims u
        WHERE u.model_version = (SELECT version FROM holds) AND u.as_of <= moment
    ), scored AS (
        SELECT p.claim_id FROM {line}.predictions p WHERE labelled AND p.variant = 'champion'
        AND p.model_version = (SELECT version FROM holds) AND p.scored_as_of <= moment
        UNION ALL
        SELECT a.claim_id FROM {line}.anomalies a WHERE NOT labelled
        AND a.model_version = (SELECT version FROM holds) AND a.scored_as_of <= moment
    ), waiting AS (
        SELECT 'score' AS queue, c.event_time FROM {line}.claims_as_of(moment) c
        WHERE NOT EXISTS (SELECT FROM scored s WHERE s.claim_id = c.claim_id)
        AND NOT EXISTS (SELECT FROM beyond b WHERE b.claim_id = c.claim_id)
        UNION ALL
        SELECT 'outcome', c.event_time FROM {line}.claims_as_of(moment) c WHERE labelled
        AND NOT EXISTS (SELECT FROM {line}.outcomes_as_of(moment) o WHERE o.claim_id = c.claim_id)
        UNION ALL
        SELECT CASE WHEN w.flagged THEN 'flagged' ELSE 'audited' END, w.event_time FROM {line}.worklist_as_of(moment) w
        WHERE labelled
    )
    SELECT w.queue, NULL, width_bucket(extract(epoch FROM moment - w.event_time)::double precision / 86400, ages) AS place,
           count(*), min(w.event_time)
    FROM waiting w GROUP BY w.queue, place
    UNION ALL
    SELECT 'unscorable', b.reason, NULL, count(*), NULL FROM beyond b GROUP BY b.reason
$$;

-- How fresh each source is. No name of a file: those of photos hold ids of claims.
CREATE FUNCTION {line}.console_feeds(moment timestamptz) RETURNS TABLE (
    feed text, files bigint, rejected bigint, rows_in bigint, rows_out bigint, loaded timestamptz, newest timestamptz
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN f.pull IS NOT NULL THEN 'pull ' || f.pull WHEN f.kind = 'reference' THEN split_part(f.uri, '/', 3)
                ELSE f.kind END AS feed,
           count(*), count(*) FILTER (WHERE f.status = 'rejected'),
           sum(f.rows_in) FILTER (WHERE f.status <> 'replaced')::bigint,
           sum(f.rows_out) FILTER (WHERE f.status <> 'replaced')::bigint,
           max(f.loaded_at) FILTER (WHERE f.reason IS NULL),
           CASE f.kind WHEN 'claims' THEN (SELECT max(c.event_time) FROM {line}.claims_as_of(moment) c)
                       WHEN 'outcomes' THEN (SELECT max(o.known_at) FROM {line}.outcomes o WHERE o.known_at <= moment) END
    FROM {line}.ingest_files f WHERE f.loaded_at <= moment GROUP BY feed, f.kind ORDER BY f.kind = 'reference', feed
$$;

-- Rows that were set aside, by column and reason; which row is repeated, or which file brought it, would split the counts.
CREATE FUNCTION {line}.console_quarantine(moment timestamptz)
RETURNS TABLE (column_name text, reason text, rows bigint, files bigint, latest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(q.column_name, ''), regexp_replace(regexp_replace(
               CASE WHEN starts_with(q.reason, q.column_name || ': ') THEN substr(q.reason, length(q.column_name) + 3)
                    ELSE q.reason END,
               '^repeats row [0-9]+', 'repeats an earlier row'),
               '^(already loaded from|another version came later from) .*', '\1 another file') AS told,
           count(*), count(DISTINCT q.file_id), max(f.loaded_at)
    FROM {line}.claims_quarantine q JOIN {line}.ingest_files f USING (file_id)
    WHERE f.loaded_at <= moment AND f.status = 'loaded'
    GROUP BY 1, told ORDER BY 3 DESC, 1, told
$$;

-- Who used what, the latest first, below the ticket itself. What is null is not asked for.
CREATE INDEX IF NOT EXISTS access_log_person ON claimsight.access_log ((coalesce(person, who)), entry_id);
CREATE INDEX IF NOT EXISTS access_log_subject ON claimsight.access_log (subject, entry_id) WHERE subject IS NOT NULL;
CREATE FUNCTION {line}.console_access_log(
    person text, ticket bigint, by_person text, by_action text, by_claim text, since timestamptz, until timestamptz,
    before bigint, many integer
) RETURNS TABLE (
    entry_id bigint, at timestamptz, by text, login text, action text, subject text, model_version integer, purpose text,
    detail jsonb, asked bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    asking CONSTANT claimsight.access_log :=
        {line}.console_redeemed(console_access_log.person, console_access_log.ticket, 'audit');
    shown bigint;
BEGIN
    PERFORM {line}.console_must_be(console_access_log.person, 'auditor');
    RETURN QUERY
    SELECT l.entry_id, l.at, coalesce(l.person, l.who), l.who, l.action, l.subject, l.model_version, l.purpose, l.detail,
           l.ticket
    FROM claimsight.access_log l
    WHERE l.line = asking.line AND l.entry_id < least(coalesce(before, asking.entry_id), asking.entry_id)
    AND (by_person IS NULL OR coalesce(l.person, l.who) = by_person)
    AND (by_action IS NULL OR l.action = by_action)
    AND (by_claim IS NULL OR l.subject = by_claim)
    AND (since IS NULL OR l.at >= since) AND (until IS NULL OR l.at < until)
    ORDER BY l.entry_id DESC LIMIT least(many, 10000);
    GET DIAGNOSTICS shown = ROW_COUNT;
    PERFORM {line}.note_reading(asking, NULL, jsonb_strip_nulls(jsonb_build_object(
        'rows', shown, 'person', by_person, 'action', by_action, 'claim', by_claim, 'since', since, 'until', until,
        'before', before)));
END
$$;

REVOKE EXECUTE ON FUNCTION {line}.console_must_be, {line}.console_rollback, {line}.console_queues, {line}.console_feeds,
    {line}.console_quarantine, {line}.console_access_log FROM PUBLIC;
