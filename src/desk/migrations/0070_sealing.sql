-- Secrets are sealed by a key that is in a file (desk/sealing.h).

-- The one that this database is sealed with: a hash of it.
CREATE TABLE sealing_keys (
    id TEXT PRIMARY KEY,
    since BIGINT NOT NULL
);

-- Accounts whose second factor was stored before there was a key: sealed by `tamis-desk migrate` and at the start.
CREATE TABLE totp_unsealed (
    account TEXT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE
);
INSERT INTO totp_unsealed (account) SELECT id FROM accounts WHERE totp_secret IS NOT NULL;

-- Nobody depends on one that was not confirmed by a code: it is set up anew.
UPDATE accounts SET totp_pending = NULL WHERE totp_pending IS NOT NULL;
