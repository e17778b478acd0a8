-- The SHA-256 of the list of a model's files: whoever could change the files, and the list with them, cannot change it here.
-- Null for a model that was registered before there was one.
ALTER TABLE {line}.models ADD COLUMN files_sha256 text;
