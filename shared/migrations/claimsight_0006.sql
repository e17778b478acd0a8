-- Nobody but the tables' owner enters anything into the log by a statement of their own: score did, and could have entered
-- whatever it liked, also under a number that the next entry was to get.
CREATE FUNCTION claimsight.score_note(
    line text, action text, model_version integer, purpose text, detail jsonb, run_id bigint
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF score_note.action IS NULL OR score_note.action NOT IN ('score', 'export') THEN
        RAISE EXCEPTION 'score enters nothing but scores and exports' USING ERRCODE = '42501';
    END IF;
    INSERT INTO claimsight.access_log (line, action, model_version, purpose, detail, run_id)
    VALUES (score_note.line, score_note.action, score_note.model_version, score_note.purpose, score_note.detail,
            score_note.run_id);
END
$$;
REVOKE EXECUTE ON FUNCTION claimsight.score_note FROM PUBLIC;
DO $$ BEGIN
    IF to_regrole('claimsight_score') IS NOT NULL THEN
        REVOKE INSERT ON claimsight.access_log FROM claimsight_score;
    END IF;
END $$;

-- A purpose is written in letters or digits: what nobody can see says nothing.
CREATE OR REPLACE FUNCTION claimsight.stamp_access() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF length(regexp_replace(NEW.purpose, '[^[:alnum:]]', '', 'g')) < 5 THEN
        RAISE EXCEPTION 'say for what purpose, in at least five letters: it is kept beside your name'
            USING ERRCODE = '22023';
    END IF;
    NEW.at := clock_timestamp();
    NEW.who := session_user;
    NEW.xact := pg_current_xact_id();
    RETURN NEW;
END
$$;
