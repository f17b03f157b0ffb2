-- Appeals against blocks, orders and suspensions, and the months' figures.

CREATE TABLE appeals (
    id TEXT PRIMARY KEY,
    against TEXT NOT NULL, -- block, order or account
    name TEXT NOT NULL, -- that is blocked; '' for an account
    report TEXT, -- id of what led to the block
    order_id TEXT,
    account TEXT, -- of who appeals; NULL: a stranger. No reference: it may be deleted
    email TEXT, -- where a stranger gets the answer
    client TEXT,
    statement TEXT NOT NULL,
    capability BYTEA NOT NULL, -- BLAKE2b-256 of the token that the answer to the appeal carries
    challenge TEXT NOT NULL, -- what a TXT record shows or a key signs
    attempts BIGINT NOT NULL DEFAULT 0, -- to prove control
    state TEXT NOT NULL, -- unproven, open, granted, denied or lapsed
    proof TEXT, -- account, dns-txt, signature or host-key
    created_at BIGINT NOT NULL,
    prove_by BIGINT NOT NULL,
    proven_at BIGINT,
    decide_by BIGINT,
    assigned_to TEXT,
    overdue_told SMALLINT NOT NULL DEFAULT 0,
    reason TEXT, -- of the decision: a code
    explanation TEXT, -- of the decision, in words
    decided_by TEXT,
    decided_at BIGINT
);
CREATE INDEX appeals_state ON appeals (state, decide_by);
CREATE INDEX appeals_name ON appeals (name, state);
CREATE INDEX appeals_assigned ON appeals (assigned_to, state);
CREATE INDEX appeals_account ON appeals (account);
CREATE INDEX appeals_client ON appeals (client, created_at);

-- Who may not decide an appeal: whoever had a part in what it is against.
CREATE TABLE appeal_barred (
    appeal TEXT NOT NULL REFERENCES appeals (id) ON DELETE CASCADE,
    account TEXT NOT NULL,
    PRIMARY KEY (appeal, account)
);

-- Ed25519 keys by which the holder of a name can sign, made known before anything was blocked.
CREATE TABLE appeal_keys (
    name TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    proof TEXT NOT NULL, -- account or dns-txt
    published_at BIGINT NOT NULL,
    PRIMARY KEY (name, public_key)
);

-- What was published of a month; it never changes.
CREATE TABLE figures (
    month TEXT PRIMARY KEY, -- 2026-10
    document TEXT NOT NULL, -- canonical JSON
    hash TEXT NOT NULL, -- SHA-256 of it, in hex
    note TEXT NOT NULL, -- signed (C2SP signed-note): the month and the hash
    published_at BIGINT NOT NULL
);
