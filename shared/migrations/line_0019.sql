-- The claim page of the console: what it shows of a claim, and what an investigator decides about it.

-- An outcome without `is_fraud` takes back what was said of the claim before it: from then on there is none.
ALTER TABLE {line}.outcomes ALTER COLUMN is_fraud DROP NOT NULL, ADD COLUMN actor text;
CREATE INDEX outcomes_taken_back ON {line}.outcomes (claim_id) WHERE is_fraud IS NULL;
-- What a file tells twice is one outcome. A person may decide, take back and decide again while a replay's clock stands.
ALTER TABLE {line}.outcomes DROP CONSTRAINT outcomes_claim_id_decided_at_source_is_fraud_known_at_key;
CREATE UNIQUE INDEX outcomes_told
    ON {line}.outcomes (claim_id, decided_at, source, is_fraud, known_at, (actor IS NULL OR NULL));

CREATE OR REPLACE FUNCTION {line}.outcomes_as_of(moment timestamptz) RETURNS SETOF {line}.outcomes LANGUAGE sql STABLE AS $$
    SELECT * FROM (
        SELECT DISTINCT ON (claim_id) * FROM {line}.outcomes
        WHERE known_at <= moment
        ORDER BY claim_id, known_at DESC, outcome_id DESC
    ) latest WHERE is_fraud IS NOT NULL
$$;

-- What was decided, and not taken back since: a claim may have several. Unlike the latest outcome of each claim it is
-- found without sorting them all, for whoever asks only whether there is any.
CREATE FUNCTION {line}.decided_as_of(moment timestamptz) RETURNS SETOF {line}.outcomes LANGUAGE sql STABLE AS $$
    SELECT o.* FROM {line}.outcomes o
    WHERE o.known_at <= moment AND o.is_fraud IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM {line}.outcomes b
        WHERE b.is_fraud IS NULL AND b.claim_id = o.claim_id AND b.known_at <= moment
        AND (b.known_at, b.outcome_id) > (o.known_at, o.outcome_id)
    )
$$;

CREATE OR REPLACE FUNCTION {line}.worklist_as_of(moment timestamptz) RETURNS TABLE (
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
        AND NOT EXISTS (SELECT FROM {line}.decided_as_of(moment) o WHERE o.claim_id = p.claim_id)
    ) listed
$$;

-- What a person decided and why, append-only; taking it back is a row that names the other. Rows go with an erased claimant.
CREATE TABLE {line}.decisions (
    decision_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claim_id       text NOT NULL,
    person         text NOT NULL,
    decision       text NOT NULL CHECK (decision IN ('fraud', 'not_fraud', 'more_information', 'undone')),
    note           text CHECK (length(note) <= 2000),
    undoes         bigint UNIQUE REFERENCES {line}.decisions,
    outcome_id     bigint,                -- what it appended to outcomes
    moment         timestamptz NOT NULL,  -- by the clock of claims and outcomes
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((decision = 'undone') = (undoes IS NOT NULL))
);
CREATE INDEX ON {line}.decisions (claim_id);
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON {line}.decisions
    FOR EACH STATEMENT EXECUTE FUNCTION {line}.refuse_change();

-- Claims of a week: they come about in the order of their events, so that this little index finds them.
CREATE INDEX claims_event ON {line}.claims USING brin (event_time) WITH (autosummarize = on);

-- Claims that share an entity with one, and the values of its entities that may be shown. `shared.access` makes these anew
-- where the contract names entities.
CREATE FUNCTION {line}.related_to(claim {line}.claims, moment timestamptz) RETURNS TABLE (claim_id text, shares text[])
LANGUAGE sql STABLE AS $$SELECT NULL::text, NULL::text[] WHERE false$$;
CREATE FUNCTION {line}.entity_values(claim {line}.claims) RETURNS jsonb LANGUAGE sql STABLE AS $$SELECT '{}'::jsonb$$;

CREATE FUNCTION {line}.person_named(login text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT p.name FROM claimsight.people p WHERE p.login = person_named.login), person_named.login)
$$;

-- Who has taken a claim, and until when; null where nobody has.
CREATE FUNCTION {line}.case_holder(claim_id text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('person', l.person, 'name', {line}.person_named(l.person), 'until', l.until)
    FROM {line}.case_locks l WHERE l.claim_id = case_holder.claim_id AND l.until > clock_timestamp()
$$;

-- Whoever has taken a claim may decide about it.
CREATE FUNCTION {line}.console_may_decide(person text, claim_id text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce({line}.case_holder(console_may_decide.claim_id) ->> 'person' = console_may_decide.person, false)
$$;

-- Hold a claim still while its decisions change; false for one that is not known. An erasure waits, or has been.
CREATE FUNCTION {line}.held_still(claim_id text, moment timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM {line}.claims c WHERE c.claim_id = held_still.claim_id AND c.known_at <= held_still.moment
        ORDER BY c.revision FOR NO KEY UPDATE;
    RETURN FOUND;
END
$$;

-- Null where there is no such claim.
CREATE FUNCTION {line}.console_decide(person text, claim_id text, decision text, note text, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told bigint;
    made bigint;
BEGIN
    PERFORM {line}.must_investigate(console_decide.person);
    IF console_decide.decision IS NULL OR console_decide.decision NOT IN ('fraud', 'not_fraud', 'more_information') THEN
        RAISE EXCEPTION 'decide for fraud, not_fraud or more_information' USING ERRCODE = '22023';
    ELSIF length(console_decide.note) > 2000 THEN
        RAISE EXCEPTION 'a note has at most 2,000 characters' USING ERRCODE = '22023';
    ELSIF NOT {line}.held_still(console_decide.claim_id, console_decide.moment) THEN
        RETURN NULL;
    ELSIF NOT {line}.console_may_decide(console_decide.person, console_decide.claim_id) THEN
        RAISE EXCEPTION 'take the case before you decide about it';
    END IF;
    IF console_decide.decision <> 'more_information' THEN
        INSERT INTO {line}.outcomes (claim_id, is_fraud, decided_at, known_at, source, actor)
        VALUES (console_decide.claim_id, console_decide.decision = 'fraud', console_decide.moment, console_decide.moment,
                'console', console_decide.person)
        RETURNING outcome_id INTO told;
        PERFORM {line}.let_go(console_decide.person, console_decide.claim_id);
    END IF;
    INSERT INTO {line}.decisions (claim_id, person, decision, note, outcome_id, moment)
    VALUES (console_decide.claim_id, console_decide.person, console_decide.decision, nullif(btrim(console_decide.note), ''),
            told, console_decide.moment)
    RETURNING decision_id INTO made;
    PERFORM {line}.note_case(console_decide.person, console_decide.claim_id, 'decided', detail =>
                             jsonb_build_object('decision', console_decide.decision, 'decision_id', made));
    RETURN made;
END
$$;

-- The decision about a claim that can be taken back: the last one that has not been.
CREATE FUNCTION {line}.standing_decision(claim_id text) RETURNS {line}.decisions
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.* FROM {line}.decisions d
    WHERE d.claim_id = standing_decision.claim_id AND d.decision <> 'undone'
    AND NOT EXISTS (SELECT FROM {line}.decisions u WHERE u.undoes = d.decision_id)
    ORDER BY d.decision_id DESC LIMIT 1
$$;

-- From then on it is as if the decision had not been made: what was told of the claim beside it counts again. Null where
-- there is no such claim.
CREATE FUNCTION {line}.console_undo(person text, claim_id text, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    undone {line}.decisions;
    stands {line}.outcomes;
    before {line}.outcomes;
    told bigint;
    made bigint;
    since timestamptz;
BEGIN
    PERFORM {line}.must_investigate(console_undo.person);
    IF NOT {line}.held_still(console_undo.claim_id, console_undo.moment) THEN
        RETURN NULL;
    END IF;
    undone := {line}.standing_decision(console_undo.claim_id);
    IF undone.decision_id IS NULL THEN
        RAISE EXCEPTION 'there is no decision to take back';
    ELSIF undone.person <> console_undo.person THEN
        RAISE EXCEPTION 'another person decided; decide anew instead' USING ERRCODE = '42501';
    ELSIF undone.at <= clock_timestamp() - interval '1 day' THEN
        RAISE EXCEPTION 'the decision is more than a day old; decide anew instead';
    END IF;
    since := greatest(console_undo.moment, undone.moment);
    -- Neither what is taken back, now or before, nor what taking back put in its place.
    SELECT o.* INTO before FROM {line}.outcomes o
    WHERE o.claim_id = console_undo.claim_id AND o.known_at <= since AND NOT EXISTS (
        SELECT FROM {line}.decisions d WHERE d.claim_id = o.claim_id AND d.outcome_id = o.outcome_id
        AND (d.decision = 'undone' OR d.decision_id = undone.decision_id
             OR EXISTS (SELECT FROM {line}.decisions u WHERE u.undoes = d.decision_id)))
    ORDER BY o.known_at DESC, o.outcome_id DESC LIMIT 1;
    SELECT o.* INTO stands FROM {line}.outcomes o
    WHERE o.claim_id = console_undo.claim_id AND o.known_at <= since ORDER BY o.known_at DESC, o.outcome_id DESC LIMIT 1;
    IF undone.outcome_id IS NOT NULL AND stands.outcome_id IS DISTINCT FROM before.outcome_id THEN
        INSERT INTO {line}.outcomes (claim_id, is_fraud, decided_at, known_at, source, actor)
        VALUES (console_undo.claim_id, before.is_fraud, coalesce(before.decided_at, since), since,
                coalesce(before.source, 'console'), console_undo.person)
        RETURNING outcome_id INTO told;
    END IF;
    INSERT INTO {line}.decisions (claim_id, person, decision, undoes, outcome_id, moment)
    VALUES (console_undo.claim_id, console_undo.person, 'undone', undone.decision_id, told, since)
    RETURNING decision_id INTO made;
    PERFORM {line}.note_case(console_undo.person, console_undo.claim_id, 'undone', detail =>
                             jsonb_build_object('decision_id', undone.decision_id));
    RETURN made;
END
$$;

-- As `console_redeemed`, and for this claim.
CREATE FUNCTION {line}.console_opened(person text, ticket bigint, claim_id text) RETURNS claimsight.access_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_redeemed(console_opened.person, console_opened.ticket, 'claim');
BEGIN
    IF asked.subject IS DISTINCT FROM console_opened.claim_id THEN
        RAISE EXCEPTION 'the ticket is for another claim' USING ERRCODE = '42501';
    END IF;
    RETURN asked;
END
$$;

-- Of one claim the row of `deciding_as_of`, by an index: `live` is the champion of that moment.
CREATE FUNCTION {line}.deciding_for(claim_id text, live integer, moment timestamptz) RETURNS SETOF {line}.predictions
LANGUAGE sql STABLE AS $$
    SELECT p.* FROM {line}.predictions p
    WHERE p.claim_id = deciding_for.claim_id AND p.scored_as_of <= moment AND p.model_version >= live
    AND (p.variant = 'champion' AND p.model_version = live OR p.variant = 'challenger' AND p.arm = 'challenger')
    ORDER BY p.variant = 'challenger' DESC, p.model_version DESC LIMIT 1
$$;

-- Where a claim stands among those of the same week (from Monday, UTC): how many are ranked higher, and how many
-- probabilities lie in each fortieth between 0 and 1.
CREATE FUNCTION {line}.place_in_week(
    claim {line}.claims, probability double precision, live integer, moment timestamptz
) RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH week AS MATERIALIZED (
        SELECT c.claim_id FROM {line}.claims_as_of(moment) c
        WHERE c.event_time >= date_trunc('week', claim.event_time, 'UTC')
        AND c.event_time < date_trunc('week', claim.event_time, 'UTC') + interval '7 days'
    ), scored AS MATERIALIZED (
        SELECT p.fraud_probability AS p FROM week, {line}.deciding_for(week.claim_id, live, moment) p
    )
    SELECT jsonb_build_object(
        'begins', date_trunc('week', claim.event_time AT TIME ZONE 'UTC')::date,
        'claims', (SELECT count(*) FROM scored),
        'rank', (SELECT count(*) + 1 FROM scored WHERE scored.p > probability),
        'counts', (SELECT jsonb_agg(coalesce(n, 0) ORDER BY place) FROM generate_series(0, 39) place
                   LEFT JOIN (SELECT least(floor(scored.p * 40), 39)::int AS place, count(*) AS n FROM scored GROUP BY 1) told
                   USING (place)))
    WHERE probability IS NOT NULL
$$;

-- All that the page shows of a claim but for its photos and related claims; null where there is no such claim.
CREATE FUNCTION {line}.console_claim(person text, ticket bigint, claim_id text, moment timestamptz) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_opened(person, ticket, claim_id);
    shown {line}.claims;
    live CONSTANT integer := {line}.champion_as_of(moment);
    decided {line}.predictions;
    last {line}.decisions;
    told jsonb;
BEGIN
    SELECT c.* INTO shown FROM {line}.claims c WHERE c.claim_id = asked.subject AND c.known_at <= moment
    ORDER BY c.revision DESC LIMIT 1;
    IF FOUND THEN
        SELECT p.* INTO decided FROM {line}.deciding_for(asked.subject, live, moment) p;
        last := {line}.standing_decision(asked.subject);
        told := jsonb_build_object(
            'claim_id', shown.claim_id,
            'event_time', shown.event_time,
            'withdrawn_at', CASE WHEN shown.superseded_at <= moment THEN shown.superseded_at END,
            'facts', {line}.claim_facts(shown),
            'prediction', CASE WHEN decided.claim_id IS NOT NULL THEN jsonb_build_object(
                'probability', decided.fraud_probability, 'flagged', decided.flagged, 'audited', decided.audited,
                'model_version', decided.model_version, 'arm', decided.arm, 'scored_as_of', decided.scored_as_of,
                'stake', {line}.claim_stake(shown),
                'expected_loss', decided.fraud_probability * {line}.claim_stake(shown),
                'reasons', {line}.shown_reasons(decided.reasons),
                'words', to_jsonb({line}.in_words({line}.shown_reasons(decided.reasons)))) END,
            'week', {line}.place_in_week(shown, decided.fraud_probability, live, moment),
            'versions', (SELECT jsonb_agg(jsonb_build_object('revision', c.revision, 'known_at', c.known_at,
                    'event_time', c.event_time, 'facts', {line}.claim_facts(c)) ORDER BY c.revision)
                FROM {line}.claims c WHERE c.claim_id = asked.subject AND c.known_at <= moment),
            'predictions', (SELECT coalesce(jsonb_agg(jsonb_build_object('model_version', p.model_version,
                    'variant', p.variant, 'decides', p.variant = p.arm, 'probability', p.fraud_probability,
                    'flagged', p.flagged, 'audited', p.audited, 'scored_as_of', p.scored_as_of)
                    ORDER BY p.scored_as_of, p.run_id, p.model_version, p.variant), '[]')
                FROM {line}.predictions p WHERE p.claim_id = asked.subject AND p.scored_as_of <= moment),
            'outcome', (SELECT o.is_fraud FROM {line}.outcomes_as_of(moment) o WHERE o.claim_id = asked.subject),
            'outcomes', (SELECT coalesce(jsonb_agg(jsonb_build_object('is_fraud', o.is_fraud, 'decided_at', o.decided_at,
                    'known_at', o.known_at, 'source', o.source, 'by', {line}.person_named(o.actor))
                    ORDER BY o.known_at, o.outcome_id), '[]')
                FROM {line}.outcomes o WHERE o.claim_id = asked.subject AND o.known_at <= moment),
            'decisions', (SELECT coalesce(jsonb_agg(jsonb_build_object('decision_id', d.decision_id,
                    'by', {line}.person_named(d.person), 'decision', d.decision, 'note', d.note, 'at', d.at,
                    'undone_at', (SELECT u.at FROM {line}.decisions u WHERE u.undoes = d.decision_id))
                    ORDER BY d.decision_id), '[]')
                FROM {line}.decisions d WHERE d.claim_id = asked.subject AND d.decision <> 'undone'),
            'undo_until', CASE WHEN last.person = console_claim.person AND last.at > clock_timestamp() - interval '1 day'
                THEN last.at + interval '1 day' END,
            'holder', {line}.case_holder(asked.subject),
            'may_decide', {line}.console_may_decide(console_claim.person, asked.subject),
            'photos', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'width', p.width, 'height', p.height,
                    'known_at', coalesce(p.known_at, shown.event_time), 'also', (
                        SELECT coalesce(jsonb_agg(jsonb_build_object('claim_id', same.claim_id, 'event_time', same.event_time)
                            ORDER BY same.event_time, same.claim_id), '[]')
                        FROM (SELECT DISTINCT c.claim_id, c.event_time
                              FROM {line}.claim_photos q JOIN {line}.claims_as_of(moment) c USING (claim_id)
                              WHERE q.picture_id = p.picture_id AND q.claim_id <> p.claim_id
                              AND (q.known_at IS NULL OR q.known_at <= moment)
                              ORDER BY c.event_time, c.claim_id LIMIT 20) same)) ORDER BY p.name), '[]')
                FROM {line}.claim_photos p WHERE p.claim_id = asked.subject AND (p.known_at IS NULL OR p.known_at <= moment))
        );
    END IF;
    PERFORM {line}.note_reading(asked, decided.model_version, jsonb_build_object('rows', (told IS NOT NULL)::int));
    RETURN told;
END
$$;

-- A photo of a claim, JPEG; null where there is none of that name.
CREATE FUNCTION {line}.console_photo(person text, ticket bigint, claim_id text, name text, small boolean, moment timestamptz)
RETURNS bytea LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT claimsight.access_log := {line}.console_opened(person, ticket, claim_id);
    found bytea;
BEGIN
    SELECT CASE WHEN small THEN p.thumbnail ELSE p.photo END INTO found
    FROM {line}.claim_photos p JOIN {line}.claims c ON c.claim_id = p.claim_id AND c.revision = 1
    WHERE p.claim_id = asked.subject AND p.name = console_photo.name AND c.known_at <= moment
    AND (p.known_at IS NULL OR p.known_at <= moment);
    PERFORM {line}.note_reading(asked, asked.model_version, jsonb_build_object('photo', console_photo.name,
        'size', CASE WHEN small THEN 'thumbnail' ELSE 'full' END, 'rows', (found IS NOT NULL)::int));
    RETURN found;
END
$$;

-- Claims that share an entity with one: those that share most first, then the newest, 30 at most. Null where there is no
-- such claim.
CREATE FUNCTION {line}.console_related(person text, ticket bigint, claim_id text, moment timestamptz) RETURNS jsonb
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
        LEFT JOIN LATERAL (SELECT q.is_fraud FROM {line}.outcomes_as_of(moment) q WHERE q.claim_id = l.claim_id) o ON true;
    END IF;
    PERFORM {line}.note_reading(asked, asked.model_version,
                                jsonb_build_object('related', coalesce(jsonb_array_length(told -> 'claims'), 0)));
    RETURN told;
END
$$;

REVOKE EXECUTE ON FUNCTION {line}.related_to, {line}.entity_values, {line}.case_holder, {line}.console_may_decide, {line}.held_still,
    {line}.console_decide, {line}.standing_decision, {line}.console_undo, {line}.console_opened,
    {line}.person_named, {line}.deciding_for, {line}.place_in_week,
    {line}.console_claim, {line}.console_photo, {line}.console_related FROM PUBLIC;
