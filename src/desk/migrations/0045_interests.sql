-- What partners are interested in, as tokens that tell nothing by themselves, and the orders that
-- touch it.
CREATE TABLE interests (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL, -- the partner's
    key_id TEXT NOT NULL, -- of the desk's key that the tokens were made with
    reference TEXT, -- the partner's own word for it
    placed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    withdrawn_at BIGINT -- also when it ran out: its tokens are gone
);
CREATE INDEX interests_account ON interests (account, id);
CREATE INDEX interests_expires ON interests (expires_at);

CREATE TABLE interest_tokens (
    token BYTEA NOT NULL,
    interest TEXT NOT NULL REFERENCES interests (id) ON DELETE CASCADE,
    PRIMARY KEY (token, interest)
);
CREATE INDEX interest_tokens_interest ON interest_tokens (interest);

-- How many names a partner had evaluated, by day.
CREATE TABLE interest_evaluations (
    account TEXT NOT NULL,
    day BIGINT NOT NULL, -- since 1970
    elements BIGINT NOT NULL,
    PRIMARY KEY (account, day)
);

CREATE TABLE interest_overlaps (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    interest TEXT NOT NULL REFERENCES interests (id),
    account TEXT NOT NULL, -- the partner's
    contact TEXT, -- account of who drafted the order
    name TEXT NOT NULL, -- of the order
    relation TEXT NOT NULL, -- name, tree or below
    found_at BIGINT NOT NULL,
    held_until BIGINT NOT NULL,
    ended_at BIGINT,
    ended_how TEXT, -- overridden, released or withdrawn
    reason TEXT,
    UNIQUE (order_id, interest)
);
CREATE INDEX interest_overlaps_account ON interest_overlaps (account, id);
CREATE INDEX interest_overlaps_interest ON interest_overlaps (interest);

CREATE TABLE overlap_messages (
    id TEXT PRIMARY KEY,
    overlap TEXT NOT NULL REFERENCES interest_overlaps (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    account TEXT NOT NULL,
    side TEXT NOT NULL, -- partner or desk
    text TEXT NOT NULL
);
CREATE INDEX overlap_messages_overlap ON overlap_messages (overlap, id);

-- Which interests an order's names were compared with: those up to the newest, for this version.
CREATE TABLE interest_checks (
    order_id TEXT PRIMARY KEY REFERENCES orders (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    newest TEXT NOT NULL -- id of an interest
);
