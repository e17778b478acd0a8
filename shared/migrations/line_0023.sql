-- What a model cannot score is a version of a claim: corrected, the claim is tried again.
ALTER TABLE {line}.unscorable_claims ADD COLUMN revision integer;
-- Where the moments leave it open, the older one: such a claim is tried once more.
UPDATE {line}.unscorable_claims u SET revision = coalesce(
    (SELECT max(c.revision) FROM {line}.claims c WHERE c.claim_id = u.claim_id AND c.known_at < u.as_of), 1
);
ALTER TABLE {line}.unscorable_claims
    ALTER COLUMN revision SET NOT NULL,
    DROP CONSTRAINT unscorable_claims_pkey,
    ADD PRIMARY KEY (claim_id, revision, model_version);

-- What was known not to be scorable at a moment, of the versions known then.
CREATE FUNCTION {line}.unscorable_as_of(moment timestamptz) RETURNS SETOF {line}.unscorable_claims LANGUAGE sql STABLE AS $$
    SELECT u.* FROM {line}.unscorable_claims u JOIN {line}.claims_as_of(moment) c USING (claim_id, revision)
    WHERE u.as_of <= moment
$$;

-- What waits for what, by the days since the claim; `ages` are those at which one group ends and the next begins. Where
-- a line knows no outcomes, claims wait for a rank only. What a model cannot score does not wait: it is told by reason.
CREATE OR REPLACE FUNCTION {line}.console_queues(moment timestamptz, labelled boolean, ages double precision[])
RETURNS TABLE (queue text, reason text, place integer, claims bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Without statistics Postgres would hold each claim against each score.
SET enable_nestloop = off AS $$
    WITH holds AS (
        SELECT CASE WHEN labelled THEN {line}.champion_as_of(moment) ELSE (
            SELECT max(m.model_version) FROM {line}.models m WHERE m.family = 'anomaly' AND m.as_of <= moment
        ) END AS version
    ), beyond AS (
        SELECT u.claim_id, u.reason FROM {line}.unscorable_as_of(moment) u
        WHERE u.model_version = (SELECT version FROM holds)
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

-- Of each claim the prediction that decides: the champion's, or in its arm that of the newest challenger. A claim of that
-- arm which the challenger has not scored yet is not left out: the champion's counts. One that has been champion since is
-- no challenger any more: rolled back, it decides about nothing.
CREATE OR REPLACE FUNCTION {line}.deciding_as_of(moment timestamptz) RETURNS SETOF {line}.predictions LANGUAGE sql STABLE AS $$
    WITH live AS (
        SELECT {line}.champion_as_of(moment) AS version
    ), champions AS (
        SELECT h.model_version FROM {line}.model_history h WHERE h.alias = 'champion' AND h.as_of <= moment
    )
    SELECT p.* FROM {line}.predictions p, live
    WHERE p.scored_as_of <= moment AND p.model_version >= live.version
    AND (p.variant = 'champion' AND p.model_version = live.version
         OR p.variant = 'challenger' AND p.arm = 'challenger' AND p.model_version NOT IN (TABLE champions))
    AND NOT EXISTS (
        SELECT FROM {line}.predictions q
        WHERE q.claim_id = p.claim_id AND q.variant = 'challenger' AND q.arm = 'challenger'
        AND q.model_version >= live.version AND q.scored_as_of <= moment AND q.model_version NOT IN (TABLE champions)
        AND (p.variant = 'champion' OR q.model_version > p.model_version)
    )
$$;
-- Of one claim the row of `deciding_as_of`, by an index: `live` is the champion of that moment.
CREATE OR REPLACE FUNCTION {line}.deciding_for(claim_id text, live integer, moment timestamptz) RETURNS SETOF {line}.predictions
LANGUAGE sql STABLE AS $$
    SELECT p.* FROM {line}.predictions p
    WHERE p.claim_id = deciding_for.claim_id AND p.scored_as_of <= moment AND p.model_version >= live
    AND (p.variant = 'champion' AND p.model_version = live
         OR p.variant = 'challenger' AND p.arm = 'challenger' AND p.model_version NOT IN (
             SELECT h.model_version FROM {line}.model_history h WHERE h.alias = 'champion' AND h.as_of <= moment))
    ORDER BY p.variant = 'challenger' DESC, p.model_version DESC LIMIT 1
$$;
