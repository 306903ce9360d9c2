-- Begin: starts a rebuild of a site by the named builder, or takes one over.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  site
-- ARGV[2]  builder
-- Returns  the slot keys in which there is anything
-- Promises repeating it by the same builder changes nothing; another builder starts with nothing set aside.
local bad = gate()
if bad then return bad end
local id, builder = ARGV[1], ARGV[2]
local t = site(id)
if not t then
  t = { epoch = 0, overflowed = 0, generation = 0, built = rep('\0', 9), builder = '', last = '', revisions = '' }
  T[id] = t
end
local found = slotsInUse(id)
if t.builder ~= builder then
  t.builder, t.overflowed, t.revisions = builder, 0, ''
  Tdirty[id] = true
  call('DEL', K_ASIDE .. id)
  flush()
end
return found
