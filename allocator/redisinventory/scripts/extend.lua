-- Extend: moves a hold's deadline on by its own length, once.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  hold id
-- Returns  now6 state1 and, where it is held: epoch4 deadline6 n1 place3 × n
-- Promises repeated, it answers the same; a hold that is not held is left alone.
local bad = gate()
if bad then return bad end
local g = exact(ARGV[1])
local state = stateOf(g)
if state ~= HELD then return p6(now) .. char(state) end
if g.extended == 0 then
  g.extended = 1
  g.deadline = g.deadline + u4(g.body, 1)
  Gdirty[g.key] = true
  lapses(g.deadline + g.grace, g.id)
  flush()
end
return p6(now) .. char(state) .. g.epoch4 .. p6(g.deadline) .. char(g.n) .. packPlaces(g)
