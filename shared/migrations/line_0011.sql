-- Which model decides about a claim: the row decides whose variant is the claim's arm; any other is for comparison only.
ALTER TABLE {line}.predictions
    ADD CONSTRAINT predictions_variant_check CHECK (variant IN ('champion', 'challenger')),
    ADD COLUMN arm text NOT NULL DEFAULT 'champion' CHECK (arm IN ('champion', 'challenger'));
