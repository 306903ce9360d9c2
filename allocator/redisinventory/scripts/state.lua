-- State: looks a grant up.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  hold id
-- Returns  its state
-- Promises changes nothing.
local bad = gate()
if bad then return bad end
return stateOf(exact(ARGV[1]))
