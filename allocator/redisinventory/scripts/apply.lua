-- Apply: a day has a newer revision.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  site
-- ARGV[2]  date3 revision6
-- Returns  0 applied, 3 ignored
-- Promises older and equal revisions change nothing.
local bad = gate()
if bad then return bad end
local t = site(ARGV[1])
if not t or t.builder == '' and t.epoch ~= EPOCH then return 3 end
local date3, revision = sub(ARGV[2], 1, 3), u6(ARGV[2], 4)
if revision > 0 and setRevision(ARGV[1], t, date3, revision) then
  days[1] = 'D' .. char(#ARGV[1]) .. ARGV[1] .. ARGV[2]
  flush()
end
return 0
