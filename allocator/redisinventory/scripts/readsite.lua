-- ReadSite: all that the inventory knows of one site.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  site
-- Returns  now6; the site's record, or ''; then three for each place in use: slot key; place; id18 booked1 service
-- Promises changes nothing.
local bad = gate()
if bad then return bad end
local replies = { p6(now), call('HGET', K_SITE, ARGV[1]) or '' }
local slots = slotsInUse(ARGV[1])
fill(K_SLOT, slots, S, decodeSlot)
for _, k in ipairs(slots) do
  for _, n in ipairs(placesOf(k)) do
    local v = place(k, n)
    if v then
      replies[#replies + 1] = k
      replies[#replies + 1] = n
      replies[#replies + 1] = v
    end
  end
end
return replies
