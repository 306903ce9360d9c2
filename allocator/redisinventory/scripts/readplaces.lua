-- ReadPlaces: who has which places of some slots.
--
-- KEYS[1]  the shard's epoch key
-- ARGV     three for each range: site; start4 len2 of the slot; first3 last3
-- Returns  {range2}*, the ranges, numbered from 0, at which a site was first seen not to be built; then one for each place in
--          use, by range and place: range2 place3 id18 booked1 service
-- Promises changes nothing.
local bad = gate()
if bad then return bad end
local keys, known, notBuilt = {}, {}, {}
for i = 1, #ARGV, 3 do
  local id = ARGV[i]
  if known[id] == nil then
    known[id] = ready(id) and true or false
    if not known[id] then notBuilt[#notBuilt + 1] = p2((i - 1) / 3) end
  end
  if known[id] then keys[#keys + 1] = id .. ARGV[i + 1] end
end
fill(K_SLOT, keys, S, decodeSlot)
local replies, fields, heads = { concat(notBuilt) }, {}, {}
for i = 1, #ARGV, 3 do
  if known[ARGV[i]] then
    local k, first, last = ARGV[i] .. ARGV[i + 1], u3(ARGV[i + 2], 1), u3(ARGV[i + 2], 4)
    for _, n in ipairs(numbersOf(k, first, last)) do
      fields[#fields + 1] = k .. p3(n)
      heads[#heads + 1] = p2((i - 1) / 3) .. p3(n)
    end
  end
end
fill(K_OWN, fields, O)
for i, f in ipairs(fields) do
  if O[f] then replies[#replies + 1] = heads[i] .. O[f] end
end
return replies
