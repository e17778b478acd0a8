-- Whether score may work: drift stops it when input is broken, and drift or a person clears that. What stands last holds.
CREATE TABLE {line}.stops (
    stop_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action         text NOT NULL CHECK (action IN ('stop', 'clear')),
    model_version  integer NOT NULL REFERENCES {line}.models,
    window_end     timestamptz NOT NULL, -- of the window that was found broken; a clear bears its stop's
    actor          text NOT NULL,
    reason         text NOT NULL,
    as_of          timestamptz NOT NULL,
    run_id         bigint NOT NULL REFERENCES claimsight.job_runs,
    decided_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {line}.stops
    FOR EACH STATEMENT EXECUTE FUNCTION {line}.refuse_change();
