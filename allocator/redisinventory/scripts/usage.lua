-- Usage: lists slots in use, piece by piece.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  cursor of HSCAN
-- ARGV[2]  about how many slots
-- Returns  next cursor; slot keys and records in turn
-- Promises a slot that is in use from the first piece to the last is told of; changes nothing.
local bad = gate()
if bad then return bad end
return call('HSCAN', K_SLOT, ARGV[1], 'COUNT', ARGV[2])
