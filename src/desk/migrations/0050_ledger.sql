-- Where in the ledger an entry is. What it says is in the tree (state/ledger), not here.
CREATE TABLE ledger_entries (
    place BIGINT PRIMARY KEY, -- from 0
    id TEXT NOT NULL UNIQUE, -- of its row in ledger_queue
    kind TEXT NOT NULL,
    subject TEXT
);
CREATE INDEX ledger_entries_subject ON ledger_entries (subject, place);

-- What sealed entries commit to, until they are opened.
CREATE TABLE ledger_sealed (
    id TEXT PRIMARY KEY, -- of the sealed entry
    kind TEXT NOT NULL,
    subject TEXT,
    opening TEXT NOT NULL, -- JSON, with the salt
    opens_at BIGINT -- NULL: when it is asked for
);
CREATE INDEX ledger_sealed_opens ON ledger_sealed (opens_at);
