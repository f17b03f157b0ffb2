-- Who uses the desk, what was done, and what is still to be done.

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE, -- lower case
    email_confirmed_at BIGINT,
    password_hash TEXT, -- Argon2id; NULL until the first one is set
    role TEXT NOT NULL,
    plan TEXT,
    state TEXT NOT NULL, -- active, suspended or closed
    totp_secret BYTEA,
    totp_last BIGINT, -- the last step that was accepted
    language TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    id_hash BYTEA PRIMARY KEY, -- BLAKE2b-256 of the cookie
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    csrf_hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_account ON sessions (account);
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    hash BYTEA NOT NULL UNIQUE,
    scopes TEXT NOT NULL, -- apart by blanks
    label TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    expires_at BIGINT
);
CREATE INDEX api_tokens_account ON api_tokens (account);

-- One-time secrets: to confirm an address, to set a first or a forgotten password.
CREATE TABLE confirmations (
    hash BYTEA PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL, -- email or password
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX confirmations_account ON confirmations (account);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL, -- milliseconds
    account TEXT, -- NULL: the desk itself
    role TEXT NOT NULL,
    credential TEXT, -- the token's id, when there was one
    client TEXT,
    action TEXT NOT NULL,
    object TEXT,
    detail TEXT -- JSON
);
CREATE INDEX audit_object ON audit (object, id);
CREATE INDEX audit_account ON audit (account, id);

CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL, -- JSON
    state TEXT NOT NULL, -- waiting or failed; what is done is deleted
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    last_error TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (state, due_at, id);

CREATE TABLE ledger_queue (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL, -- milliseconds
    kind TEXT NOT NULL,
    subject TEXT,
    content TEXT NOT NULL, -- JSON
    taken SMALLINT NOT NULL DEFAULT 0 -- whether it is in the ledger
);
CREATE INDEX ledger_queue_open ON ledger_queue (taken, id);

CREATE TABLE jobs (
    name TEXT PRIMARY KEY,
    last_run_at BIGINT NOT NULL
);

-- What was answered to requests with an Idempotency-Key.
CREATE TABLE idempotency (
    key_hash BYTEA PRIMARY KEY, -- of who asked, where, and the key
    request_hash BYTEA NOT NULL,
    status BIGINT, -- NULL: done, but the answer was not kept
    body TEXT,
    type TEXT,
    location TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_created ON idempotency (created_at);
