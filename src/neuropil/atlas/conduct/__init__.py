"""How a study is conducted: found, tuned, registered, run in cells, audited, refreshed, every look in the ledger."""
