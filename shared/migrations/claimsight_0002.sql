-- Who used what, in which model version, and why. An entry without a ticket asks for something, or tells what a stage did;
-- one with a ticket tells that what was asked for was read, and what came back.
CREATE TABLE claimsight.access_log (
    entry_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL,
    who             text NOT NULL,
    line            text NOT NULL,
    action          text NOT NULL CHECK (action IN ('worklist', 'claim', 'performance', 'prediction_history', 'score', 'export')),
    subject         text,
    model_version   integer,
    purpose         text NOT NULL,
    detail          jsonb NOT NULL DEFAULT '{}',
    ticket          bigint REFERENCES claimsight.access_log,
    xact            xid8 NOT NULL,
    run_id          bigint REFERENCES claimsight.job_runs
);
CREATE INDEX ON claimsight.access_log (ticket) WHERE ticket IS NOT NULL;

-- Whoever writes an entry does so under the name of the login, now; SET ROLE does not change the one, nor a value the other.
CREATE FUNCTION claimsight.stamp_access() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    NEW.who := session_user;
    NEW.xact := pg_current_xact_id();
    RETURN NEW;
END
$$;
CREATE TRIGGER stamp BEFORE INSERT ON claimsight.access_log FOR EACH ROW EXECUTE FUNCTION claimsight.stamp_access();

-- Append-only for everyone, its owner too.
CREATE FUNCTION claimsight.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claimsight.access_log
    FOR EACH STATEMENT EXECUTE FUNCTION claimsight.refuse_change();
-- Also where a session calls itself a replica, which passes ordinary triggers over.
ALTER TABLE claimsight.access_log ENABLE ALWAYS TRIGGER stamp, ENABLE ALWAYS TRIGGER append_only;
