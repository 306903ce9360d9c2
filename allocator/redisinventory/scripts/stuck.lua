-- StuckPins: lists pinned grants whose deadline has passed.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  how many at most
-- Returns  three for each: site; hold id; {start4 len2 place3 #service1 service}*
-- Promises oldest first; those that were settled or freed are struck off the list, none else.
local bad = gate()
if bad then return bad end
local limit, found, kept, scanned, seen = tonumber(ARGV[1]), {}, {}, 0, {}
while #kept < limit and scanned < 10 * limit + 1000 do
  local ids = call('LRANGE', K_STUCK, scanned, scanned + limit - 1)
  if #ids == 0 then break end
  warmGrants(ids)
  for _, id in ipairs(ids) do
    scanned = scanned + 1
    local g = exact(id)
    if g and g.state == PINNED and not seen[id] then
      seen[id] = true
      kept[#kept + 1] = id
      found[#found + 1] = g.site
      found[#found + 1] = id
      found[#found + 1] = claimsOf(g)
    end
    if #kept >= limit then break end
  end
end
if #kept < scanned then
  call('LTRIM', K_STUCK, scanned, -1)
  local back = {}
  for i = #kept, 1, -1 do back[#back + 1] = kept[i] end
  bulk('LPUSH', K_STUCK, back)
end
return found
