-- Who works which claim of the worklist. An event for each step, and a lock for the case somebody has before them; both
-- name claims, so the console has no right on them and calls the functions below, which name the person in the access log.

CREATE TABLE {line}.case_events (
    event_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claim_id       text NOT NULL,
    action         text NOT NULL CHECK (action IN ('taken', 'released', 'assigned', 'snoozed', 'escalated', 'decided', 'undone')),
    person         text NOT NULL, -- login of who did it
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    until          timestamptz,   -- end of a lock or of a snooze
    note           text,
    detail         jsonb NOT NULL DEFAULT '{}' -- of 'assigned': {"to": login, or null for nobody}
);
CREATE INDEX ON {line}.case_events (claim_id);
CREATE INDEX case_events_undone ON {line}.case_events (event_id) WHERE action = 'undone';
-- Not on DELETE: a person's claims are erased with all that was said of them, by etl, which alone has the right.
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON {line}.case_events
    FOR EACH STATEMENT EXECUTE FUNCTION {line}.refuse_change();

-- By the real clock; a lock that ran out stays until somebody else takes the case, so that its holder may renew it.
CREATE TABLE {line}.case_locks (
    claim_id       text PRIMARY KEY,
    person         text NOT NULL,
    until          timestamptz NOT NULL
);

-- Discloses nothing until the contract says so, as `claim_facts` and its like.
CREATE FUNCTION {line}.claim_kind(claim {line}.claims) RETURNS text LANGUAGE sql STABLE AS $$SELECT NULL::text$$;

-- What the events come to: to whom a case is assigned, until when it sleeps (taking it wakes it), and whether somebody
-- passed it on and nobody answered by an assignment or a decision. Kept as they come, since the console asks every second.
CREATE TABLE {line}.cases (
    claim_id       text PRIMARY KEY,
    assigned_to    text,
    snoozed_until  timestamptz,
    escalated      boolean NOT NULL DEFAULT false
);
CREATE INDEX cases_standing ON {line}.cases (claim_id)
    WHERE assigned_to IS NOT NULL OR snoozed_until IS NOT NULL OR escalated;

CREATE FUNCTION {line}.follow_case() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {line}.cases (claim_id) VALUES (NEW.claim_id) ON CONFLICT DO NOTHING;
    UPDATE {line}.cases c SET
        assigned_to = CASE WHEN NEW.action = 'assigned' THEN NEW.detail ->> 'to' ELSE c.assigned_to END,
        snoozed_until = CASE WHEN NEW.action = 'snoozed' THEN NEW.until
            WHEN NEW.action IN ('taken', 'decided', 'undone') THEN NULL ELSE c.snoozed_until END,
        escalated = NEW.action = 'escalated' OR c.escalated AND NEW.action NOT IN ('assigned', 'decided', 'undone')
    WHERE c.claim_id = NEW.claim_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER follow AFTER INSERT ON {line}.case_events FOR EACH ROW EXECUTE FUNCTION {line}.follow_case();

-- Whether the latest word on a claim is an outcome. One that was taken back is none.
CREATE FUNCTION {line}.is_decided(claim_id text, moment timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT o.is_fraud IS NOT NULL FROM {line}.outcomes o
        WHERE o.claim_id = is_decided.claim_id AND o.known_at <= moment
        ORDER BY o.known_at DESC, o.outcome_id DESC LIMIT 1
    ), false)
$$;

CREATE FUNCTION {line}.note_case(
    person text, claim_id text, action text, until timestamptz DEFAULT NULL, note text DEFAULT NULL, detail jsonb DEFAULT '{}'
) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO {line}.case_events (claim_id, action, person, until, note, detail)
    VALUES (note_case.claim_id, note_case.action, note_case.person, note_case.until, note_case.note, note_case.detail);
    INSERT INTO claimsight.access_log (line, action, subject, model_version, purpose, detail, person)
    VALUES (btrim('{line}', '"'), 'case_' || note_case.action, note_case.claim_id, {line}.champion_as_of(now()),
            'works the case', note_case.detail, note_case.person)
$$;

CREATE FUNCTION {line}.is_investigator(person text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM claimsight.people p
        WHERE p.login = is_investigator.person AND p.disabled_at IS NULL AND 'investigator' = ANY (p.roles)
    )
$$;

CREATE FUNCTION {line}.must_investigate(person text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT {line}.is_investigator(must_investigate.person) THEN
        RAISE EXCEPTION 'no investigator of that name uses the console' USING ERRCODE = '42501';
    END IF;
END
$$;

CREATE FUNCTION {line}.is_claim(claim_id text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM {line}.claims c WHERE c.claim_id = is_claim.claim_id AND c.superseded_at IS NULL)
$$;

CREATE FUNCTION {line}.check_case(person text, claim_id text, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {line}.must_investigate(check_case.person);
    IF NOT {line}.is_claim(check_case.claim_id) THEN
        RAISE EXCEPTION 'there is no such claim' USING ERRCODE = 'P0002';
    ELSIF length(check_case.note) > 2000 THEN
        RAISE EXCEPTION 'a note has at most 2000 characters' USING ERRCODE = '22023';
    END IF;
END
$$;

CREATE FUNCTION {line}.refuse_held(person text, claim_id text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    other record;
BEGIN
    SELECT coalesce(p.name, l.person) AS name, l.until INTO other
    FROM {line}.case_locks l LEFT JOIN claimsight.people p ON p.login = l.person
    WHERE l.claim_id = refuse_held.claim_id AND l.person <> refuse_held.person AND l.until > clock_timestamp();
    IF FOUND THEN
        RAISE EXCEPTION '% holds this case until % UTC', other.name, to_char(other.until AT TIME ZONE 'UTC', 'HH24:MI');
    END IF;
END
$$;

-- Lock a case, or go on holding it; null where somebody else holds it. Of two at once the second waits for the first at the
-- row, and then finds it held. It looks before it tries, since a try that fails keeps the row until the transaction ends:
-- whoever waits at one such row saw it free, so that two never wait for each other.
CREATE FUNCTION {line}.hold_case(person text, claim_id text) RETURNS timestamptz
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder CONSTANT text := (
        SELECT l.person FROM {line}.case_locks l WHERE l.claim_id = hold_case.claim_id AND l.until > clock_timestamp()
    );
    held_until timestamptz;
BEGIN
    IF holder <> hold_case.person THEN
        RETURN NULL;
    END IF;
    INSERT INTO {line}.case_locks AS l VALUES (hold_case.claim_id, hold_case.person, clock_timestamp() + interval '30 minutes')
    ON CONFLICT ON CONSTRAINT case_locks_pkey DO UPDATE SET person = excluded.person, until = excluded.until
    WHERE l.person = excluded.person OR l.until <= clock_timestamp()
    RETURNING l.until INTO held_until;
    IF held_until IS NOT NULL AND holder IS NULL THEN
        PERFORM {line}.note_case(hold_case.person, hold_case.claim_id, 'taken', held_until);
    END IF;
    RETURN held_until;
END
$$;

CREATE FUNCTION {line}.console_take(person text, claim_id text) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held_until timestamptz;
BEGIN
    PERFORM {line}.check_case(console_take.person, console_take.claim_id);
    held_until := {line}.hold_case(console_take.person, console_take.claim_id);
    IF held_until IS NULL THEN
        PERFORM {line}.refuse_held(console_take.person, console_take.claim_id);
    END IF;
    RETURN held_until;
END
$$;

-- Lock the first of some claims that nobody holds and nobody decided; null where there is none.
CREATE FUNCTION {line}.console_take_next(person text, claim_ids text[], moment timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    candidate text;
BEGIN
    PERFORM {line}.must_investigate(console_take_next.person);
    FOREACH candidate IN ARRAY claim_ids LOOP
        IF {line}.is_claim(candidate) AND NOT {line}.is_decided(candidate, moment)
            AND {line}.hold_case(console_take_next.person, candidate) IS NOT NULL THEN
            RETURN candidate;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE FUNCTION {line}.console_renew(person text, claim_id text) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held_until timestamptz;
BEGIN
    PERFORM {line}.check_case(console_renew.person, console_renew.claim_id);
    UPDATE {line}.case_locks l SET until = clock_timestamp() + interval '30 minutes'
    WHERE l.claim_id = console_renew.claim_id AND l.person = console_renew.person RETURNING l.until INTO held_until;
    IF held_until IS NULL THEN
        PERFORM {line}.refuse_held(console_renew.person, console_renew.claim_id);
        RAISE EXCEPTION 'you do not hold this case; take it first';
    END IF;
    RETURN held_until;
END
$$;

CREATE FUNCTION {line}.console_release(person text, claim_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {line}.check_case(console_release.person, console_release.claim_id);
    DELETE FROM {line}.case_locks l WHERE l.claim_id = console_release.claim_id AND l.person = console_release.person;
    IF FOUND THEN
        PERFORM {line}.note_case(console_release.person, console_release.claim_id, 'released');
    END IF;
END
$$;

-- Whoever assigns a case to somebody else, puts it to sleep or passes it on, no longer holds it.
CREATE FUNCTION {line}.let_go(person text, claim_id text) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM {line}.case_locks l WHERE l.claim_id = let_go.claim_id AND l.person = let_go.person
$$;

CREATE FUNCTION {line}.console_assign(person text, claim_id text, assignee text, note text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {line}.check_case(console_assign.person, console_assign.claim_id, console_assign.note);
    PERFORM {line}.refuse_held(console_assign.person, console_assign.claim_id);
    IF NOT {line}.is_investigator(console_assign.assignee) AND console_assign.assignee IS NOT NULL THEN
        RAISE EXCEPTION 'assign it to an investigator' USING ERRCODE = '22023';
    END IF;
    PERFORM {line}.note_case(console_assign.person, console_assign.claim_id, 'assigned', NULL, console_assign.note,
                             jsonb_build_object('to', console_assign.assignee));
    IF console_assign.assignee IS DISTINCT FROM console_assign.person THEN
        PERFORM {line}.let_go(console_assign.person, console_assign.claim_id);
    END IF;
END
$$;

CREATE FUNCTION {line}.console_snooze(person text, claim_id text, until timestamptz, note text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {line}.check_case(console_snooze.person, console_snooze.claim_id, console_snooze.note);
    PERFORM {line}.refuse_held(console_snooze.person, console_snooze.claim_id);
    IF console_snooze.until IS NULL OR console_snooze.until <= clock_timestamp()
        OR console_snooze.until > clock_timestamp() + interval '90 days' THEN
        RAISE EXCEPTION 'snooze it until a moment of the next 90 days' USING ERRCODE = '22023';
    END IF;
    PERFORM {line}.note_case(console_snooze.person, console_snooze.claim_id, 'snoozed', console_snooze.until,
                             console_snooze.note);
    PERFORM {line}.let_go(console_snooze.person, console_snooze.claim_id);
END
$$;

CREATE FUNCTION {line}.console_escalate(person text, claim_id text, note text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM {line}.check_case(console_escalate.person, console_escalate.claim_id, console_escalate.note);
    PERFORM {line}.refuse_held(console_escalate.person, console_escalate.claim_id);
    IF btrim(coalesce(console_escalate.note, '')) = '' THEN
        RAISE EXCEPTION 'say why you pass the case on' USING ERRCODE = '22023';
    END IF;
    PERFORM {line}.note_case(console_escalate.person, console_escalate.claim_id, 'escalated', NULL, console_escalate.note);
    PERFORM {line}.let_go(console_escalate.person, console_escalate.claim_id);
END
$$;

-- What the console keeps of the worklist in memory, to sort and filter it for many people at once: the alerts, entered in
-- the log as what the console itself did; what became of the cases since, which is asked for again and again; and a stamp
-- that changes when the alerts have to be read anew.
CREATE FUNCTION {line}.console_worklist(moment timestamptz) RETURNS TABLE (
    week date, rank_in_week bigint, claim_id text, kind text, fraud_probability double precision,
    amount double precision, expected_loss double precision, flagged boolean, audited boolean, model_version integer
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept bigint;
BEGIN
    RETURN QUERY SELECT w.week, w.rank_in_week, w.claim_id, {line}.claim_kind(c), w.fraud_probability, w.amount,
        w.expected_loss, w.flagged, w.audited, w.model_version
    FROM {line}.worklist_as_of(moment) w JOIN {line}.claims_as_of(moment) c USING (claim_id);
    GET DIAGNOSTICS kept = ROW_COUNT;
    INSERT INTO claimsight.access_log (line, action, model_version, purpose, detail)
    VALUES (btrim('{line}', '"'), 'worklist_kept', {line}.champion_as_of(moment), 'keeps the worklist of the console',
            jsonb_build_object('rows', kept));
END
$$;

CREATE FUNCTION {line}.console_worklist_stamp() RETURNS TABLE (stamp text, last_outcome bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws('/',
               (SELECT max(r.ended_at) FROM claimsight.job_runs r
                WHERE r.line = btrim('{line}', '"') AND r.stage IN ('etl', 'evaluate', 'score')),
               (SELECT coalesce(max(h.entry_id), 0) FROM {line}.model_history h),
               (SELECT coalesce(max(e.event_id), 0) FROM {line}.case_events e WHERE e.action = 'undone')),
           (SELECT coalesce(max(o.outcome_id), 0) FROM {line}.outcomes o)
$$;

-- Numbers of outcomes are drawn before they are committed: some below the last one may yet appear.
CREATE FUNCTION {line}.console_cases(moment timestamptz, last_outcome bigint) RETURNS TABLE (
    claim_id text, assigned_to text, snoozed_until timestamptz, escalated boolean, held_by text, held_until timestamptz,
    decided boolean
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH decided AS (
        SELECT DISTINCT o.claim_id FROM {line}.outcomes o
        WHERE o.outcome_id > console_cases.last_outcome - 100 AND {line}.is_decided(o.claim_id, moment)
    ), held AS (
        SELECT l.claim_id, l.person, l.until FROM {line}.case_locks l WHERE l.until > clock_timestamp()
    ), standing AS (
        SELECT s.claim_id, s.assigned_to, CASE WHEN s.snoozed_until > clock_timestamp() THEN s.snoozed_until END AS snoozed_until,
               s.escalated
        FROM {line}.cases s
        WHERE s.assigned_to IS NOT NULL OR s.snoozed_until IS NOT NULL OR s.escalated
    )
    SELECT claim_id, s.assigned_to, s.snoozed_until, coalesce(s.escalated, false), h.person, h.until, d.claim_id IS NOT NULL
    FROM standing s FULL JOIN held h USING (claim_id) FULL JOIN decided d USING (claim_id)
$$;

-- A reading of the worklist is one entry: its filter and how many claims it shows. Who scrolls on, or whose page asks what is
-- new, names that entry and makes no other, for an hour and for the same filter.
CREATE FUNCTION {line}.console_read_worklist(person text, ticket bigint, filter jsonb, shown bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    entry bigint;
BEGIN
    SELECT l.entry_id INTO entry FROM claimsight.access_log l
    WHERE l.entry_id = console_read_worklist.ticket AND l.who = session_user AND l.line = btrim('{line}', '"')
    AND l.action = 'worklist' AND l.person = console_read_worklist.person
    AND l.detail -> 'filter' = console_read_worklist.filter AND l.at > clock_timestamp() - interval '1 hour';
    IF FOUND THEN
        RETURN entry;
    ELSIF NOT EXISTS (
        SELECT FROM claimsight.people p WHERE p.login = console_read_worklist.person AND p.disabled_at IS NULL
    ) THEN
        RAISE EXCEPTION 'nobody of that name uses the console' USING ERRCODE = '42501';
    END IF;
    INSERT INTO claimsight.access_log (line, action, model_version, purpose, detail, person)
    VALUES (btrim('{line}', '"'), 'worklist', {line}.champion_as_of(now()), 'chooses cases from the worklist',
            jsonb_build_object('filter', console_read_worklist.filter, 'rows', console_read_worklist.shown),
            console_read_worklist.person)
    RETURNING entry_id INTO entry;
    RETURN entry;
END
$$;

REVOKE EXECUTE ON FUNCTION {line}.is_decided, {line}.is_investigator, {line}.must_investigate,
    {line}.is_claim, {line}.note_case, {line}.check_case, {line}.refuse_held,
    {line}.hold_case, {line}.let_go, {line}.console_take, {line}.console_take_next, {line}.console_renew,
    {line}.console_release, {line}.console_assign, {line}.console_snooze, {line}.console_escalate, {line}.console_worklist,
    {line}.console_worklist_stamp, {line}.console_cases, {line}.console_read_worklist FROM PUBLIC;
