-- Finish: ends a rebuild. late.lua comes before it.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  site
-- ARGV[2]  builder
-- ARGV[3]  generation7
-- ARGV[4]  {date3 revision6}*
-- Returns  1, or 0 where the builder was replaced or more was set aside than fits
-- Promises what was set aside is applied, per hold ended beats settled; revisions never go back; all grants so far are older than
--          the site's stamp, all later ones newer; repeating it answers the same.
local bad = gate()
if bad then return bad end
local id, builder = ARGV[1], ARGV[2]
local t = site(id)
if not t then return 0 end
if t.builder ~= builder then return t.builder == '' and t.last == builder and t.epoch == EPOCH and 1 or 0 end
if t.overflowed == 1 then return 0 end

local messages, ended = {}, {}
for at = 0, SET_ASIDE, 4000 do
  for _, text in ipairs(call('LRANGE', K_ASIDE .. id, at, at + 3999)) do
    messages[#messages + 1] = { site = id, text = text }
    if sub(text, 1, 1) == 'F' then ended[sub(text, 2, 19)] = true end
  end
end
warmLate(messages)
for _, m in ipairs(messages) do
  if sub(m.text, 1, 1) ~= 'S' then free(m) end
end
for _, m in ipairs(messages) do
  if sub(m.text, 1, 1) == 'S' and not ended[sub(m.text, 2, 19)] then settle(m) end
end
for at = 1, #ARGV[4], 9 do
  local revision = u6(ARGV[4], at + 3)
  if revision > 0 then setRevision(id, t, sub(ARGV[4], at, at + 2), revision) end
end
for at = 1, #t.revisions, 9 do days[#days + 1] = 'D' .. char(#id) .. id .. sub(t.revisions, at, at + 8) end
t.epoch, t.generation, t.builder, t.last = EPOCH, u7(ARGV[3], 1), '', builder
t.built = newStamp(call('HGET', K_GRANT, 'micros'))
stamped = sub(t.built, 3)
Tdirty[id] = true
flush()
call('DEL', K_ASIDE .. id)
return 1
