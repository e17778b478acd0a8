-- Whether the event of what a run scored was put: by itself, or by one after it where it was killed before it could.
ALTER TABLE claimsight.job_runs ADD COLUMN told boolean NOT NULL DEFAULT false;

-- So far a run told of those of its own shard that had died since the last one that was done.
UPDATE claimsight.job_runs r SET told = true
WHERE r.stage = 'score' AND EXISTS (
    SELECT FROM claimsight.job_runs d
    WHERE d.stage = r.stage AND d.line = r.line AND d.shard = r.shard AND d.status = 'done' AND d.run_id >= r.run_id
);
