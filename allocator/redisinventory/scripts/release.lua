-- Release: gives a held grant back.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  hold id
-- ARGV[2]  '1': forget the key too
-- Returns  the grant's state
-- Promises only a held grant changes; only places that it still owns are freed.
local bad = gate()
if bad then return bad end
local g = exact(ARGV[1])
if not g then return 0 end
if g.state ~= HELD then return g.state end
giveAll(g, false)
setState(g, RELEASED)
if ARGV[2] == '1' then forget(g) end
flush()
return RELEASED
