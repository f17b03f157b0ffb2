-- Abuse reports: who said what about which names, and what came of it.

CREATE TABLE reporters (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL, -- account, mail (a sender nobody has checked) or anonymous
    identity TEXT NOT NULL UNIQUE, -- the account's id, 'mail:' and the address, or 'anonymous'
    label TEXT NOT NULL, -- the address, for staff
    trusted SMALLINT NOT NULL DEFAULT 0, -- may send in bulk, and is looked at first
    reports BIGINT NOT NULL DEFAULT 0,
    upheld BIGINT NOT NULL DEFAULT 0,
    dismissed BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);

CREATE TABLE reports (
    id TEXT PRIMARY KEY,
    capability BYTEA NOT NULL, -- BLAKE2b-256 of the token that the acknowledgement carries
    intake BYTEA UNIQUE, -- hash of a mail as it came: one that is delivered twice is taken once
    channel TEXT NOT NULL, -- json, mail, form or bulk
    class TEXT NOT NULL,
    xarf_type TEXT, -- category/type, when it came as XARF
    reporter TEXT NOT NULL REFERENCES reporters (id),
    answer_to TEXT, -- address that gets the acknowledgement and the outcome
    client TEXT,
    description TEXT NOT NULL,
    observed_at BIGINT,
    received_at BIGINT NOT NULL,
    acknowledged_at BIGINT NOT NULL,
    state TEXT NOT NULL, -- open, noticed, decided, not-ours or duplicate
    first TEXT REFERENCES reports (id), -- of a duplicate: what it counts on
    seen BIGINT NOT NULL DEFAULT 1, -- how often it was reported
    seen_at BIGINT NOT NULL,
    decide_by BIGINT, -- NULL: nothing to decide
    trusted SMALLINT NOT NULL DEFAULT 0, -- the reporter was, when it came
    claimed_by TEXT,
    claimed_until BIGINT,
    decision TEXT, -- the last one's id
    decided_at BIGINT, -- the first decision
    acted_at BIGINT -- when it took effect
);
CREATE INDEX reports_queue ON reports (state, decide_by);
CREATE INDEX reports_reporter ON reports (reporter, received_at);
CREATE INDEX reports_first ON reports (first);
CREATE INDEX reports_client ON reports (client, received_at);
CREATE INDEX reports_received ON reports (received_at);

CREATE TABLE report_names (
    report TEXT NOT NULL REFERENCES reports (id) ON DELETE CASCADE,
    name TEXT NOT NULL, -- lower case, A-labels, no last dot
    is_ours SMALLINT NOT NULL,
    owner_name TEXT, -- the name of the host that it belongs to, whether that exists or not
    host TEXT, -- id of the host at the time; no reference: it may be deleted
    account TEXT, -- its account at the time
    PRIMARY KEY (report, name)
);
CREATE INDEX report_names_name ON report_names (name);
CREATE INDEX report_names_owner ON report_names (owner_name);
CREATE INDEX report_names_account ON report_names (account);

CREATE TABLE evidence (
    hash TEXT PRIMARY KEY, -- BLAKE2b-256 in hex: the file's name below state/evidence
    size BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE report_evidence (
    report TEXT NOT NULL REFERENCES reports (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    hash TEXT, -- NULL: it was too large to be kept
    size BIGINT NOT NULL,
    type TEXT NOT NULL, -- as the reporter called it: never believed
    label TEXT NOT NULL,
    PRIMARY KEY (report, number)
);
CREATE INDEX report_evidence_hash ON report_evidence (hash);

CREATE TABLE decisions (
    id TEXT PRIMARY KEY,
    report TEXT NOT NULL REFERENCES reports (id),
    action TEXT NOT NULL, -- dismiss, warn, suspend-host, suspend-account or escalate
    reason TEXT NOT NULL, -- a code
    note TEXT NOT NULL, -- for staff
    by_account TEXT NOT NULL,
    at BIGINT NOT NULL,
    act_at BIGINT, -- when it takes effect, or what was warned of is looked at again
    acted_at BIGINT,
    order_id TEXT, -- what it was escalated to
    state TEXT NOT NULL -- pending, done or withdrawn
);
CREATE INDEX decisions_report ON decisions (report);
CREATE INDEX decisions_due ON decisions (state, act_at);
