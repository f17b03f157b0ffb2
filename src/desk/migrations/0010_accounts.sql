-- What accounts need beside the foundation: second factors, what is shown of sessions, and why an
-- account is not what it was.

ALTER TABLE accounts ADD COLUMN totp_pending BYTEA; -- a secret that no code was shown for yet
ALTER TABLE accounts ADD COLUMN state_reason TEXT; -- of a suspension, shown to the customer
ALTER TABLE accounts ADD COLUMN state_since BIGINT;
CREATE INDEX accounts_unconfirmed ON accounts (email_confirmed_at, created_at);

ALTER TABLE sessions ADD COLUMN client TEXT; -- address at the sign-in
ALTER TABLE sessions ADD COLUMN agent TEXT;

-- A new address waits here until whoever reads its mail agrees; the id of what caused a
-- confirmation makes it one, however often that is done.
ALTER TABLE confirmations ADD COLUMN email TEXT;
ALTER TABLE confirmations ADD COLUMN cause TEXT;
CREATE UNIQUE INDEX confirmations_cause ON confirmations (cause);

-- In place of a code of the authenticator, once each.
CREATE TABLE recovery_codes (
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    hash BYTEA NOT NULL,
    PRIMARY KEY (account, hash)
);

CREATE INDEX audit_at ON audit (at);
