-- A decision may be set back to what it was, by a file that tells the same as one before the correction. What is told twice
-- etl leaves out, which alone writes what files tell.
DROP INDEX {line}.outcomes_told;
