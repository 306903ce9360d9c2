-- Load: replaces what is known of some slots by the ledger's live rows of these slots.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  site
-- ARGV[2]  builder
-- ARGV[3]  how many ended ids follow
-- ARGV[4…] the ended ids: id18 reason; then two for each slot: slot key; {place3 owner18 #service1 service}*
-- Returns  1, or 0 where the builder was replaced
-- Promises rows come in, what they contradict goes; holds and pins that fit beside them stay. A hold that
--          a row pushes out goes as a whole, a pin loses that place only. Repeating it changes nothing.
local bad = gate()
if bad then return bad end
local siteID = ARGV[1]
local t = site(siteID)
if not t or t.builder ~= ARGV[2] then return 0 end
local nEnded = tonumber(ARGV[3])


local function rowsOf(packed)
  local rows, at = {}, 1
  while at <= #packed do
    local l = byte(packed, at + 21)
    rows[#rows + 1] = { u3(packed, at), sub(packed, at + 3, at + 20), sub(packed, at + 22, at + 21 + l) }
    at = at + 22 + l
  end
  return rows
end

local function load(k, rows)
  local at = {}
  for _, row in ipairs(rows) do
    at[row[1]] = row
    if alive(exact(row[2])) then recorded(row[2]) end
  end
  local numbers = placesOf(k)
  local ids = {}
  for i, n in ipairs(numbers) do ids[i] = sub(place(k, n), 1, 18) end
  warmGrants(ids)
  for _, n in ipairs(numbers) do
    local v = place(k, n)
    if v then -- else it went with a grant just dropped
      local owner, booked, row = sub(v, 1, 18), byte(v, 19) == 1, at[n]
      local g = exact(owner)
      if row and row[2] == owner and booked then
        -- as it should be
      elseif booked or not alive(g) then
        give(k, n, owner, true)
      elseif row and g.state == PINNED then
        give(k, n, owner, false) -- the rest of a pin stays: it may be recorded at this moment
      elseif row then
        drop(owner)
      end
    end
  end
  for _, row in ipairs(rows) do
    if not place(k, row[1]) then take(k, row[1], row[2], true, row[3]) end
  end
end

local ids = {}
for i = 4, 3 + nEnded do ids[#ids + 1] = sub(ARGV[i], 1, 18) end
local loads, slots = {}, {}
for i = 4 + nEnded, #ARGV, 2 do
  local rows = rowsOf(ARGV[i + 1])
  loads[#loads + 1] = { ARGV[i], rows }
  slots[#slots + 1] = ARGV[i]
  for _, row in ipairs(rows) do ids[#ids + 1] = row[2] end
end
warmPlaces(warmGrants(ids), {})
fill(K_SLOT, slots, S, decodeSlot)
for i = 4, 3 + nEnded do finish(sub(ARGV[i], 1, 18), siteID, sub(ARGV[i], 19)) end
for _, l in ipairs(loads) do load(l[1], l[2]) end
flush()
return 1
