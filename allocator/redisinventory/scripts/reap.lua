-- Reap: frees lapsed holds, lists lapsed pins as stuck, forgets old keys.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  how many of each at most
-- Returns  1 where lapsed ones are left
-- Promises each hold is looked at again here, so one that was extended, pinned or released meanwhile is left alone.
local bad = gate()
if bad then return bad end
local more = reap(tonumber(ARGV[1]))
flush()
return more and 1 or 0
