-- Repair: corrects places that are still as the caller read them.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  site
-- ARGV[2…] three for each fix: slot key; place3 kind1 (0; 1: free the whole grant) was19 now19 (id18 booked1, zeros: free)
--          #reason1 reason; the new claim's service
-- Returns  how many it changed
-- Promises a place that is not as it was is left alone; where a hold gives way its whole grant goes, unmarked;
--          a pin ends only by kind 1.
local bad = gate()
if bad then return bad end
local siteID = ARGV[1]
if not ready(siteID) then return 0 end
local rows, ids = {}, {}
for i = 2, #ARGV, 3 do
  local f = ARGV[i + 1]
  rows[#rows + 1] = { ARGV[i], u3(f, 1) }
  ids[#ids + 1] = sub(f, 5, 22)
  ids[#ids + 1] = sub(f, 24, 41)
end
warmPlaces(warmGrants(ids), rows)
local none = rep('\0', 18)

local function repair(k, f, service)
  local n, whole, was, fresh = u3(f, 1), byte(f, 4) == 1, sub(f, 5, 22), sub(f, 24, 41)
  local wasBooked = byte(f, 23) == 1
  local v = place(k, n)
  if (v and sub(v, 1, 19) or none .. '\0') ~= sub(f, 5, 23) then return false end
  if fresh ~= none then
    local g = exact(fresh)
    if g and (g.state == ENDED or gone(g, k, n)) then return false end -- it ended after the caller read the ledger
  end
  if was ~= none then
    if whole then
      finish(was, siteID, sub(f, 44, 43 + byte(f, 43)))
      give(k, n, was, true)
      return true
    end
    if wasBooked then
      give(k, n, was, true)
    else
      local g = exact(was)
      if g and g.state == PINNED then return false end -- it may be recorded at this moment
      drop(was)
      give(k, n, was, true)
    end
  end
  if fresh == none then return true end
  if not place(k, n) then take(k, n, fresh, true, service) end
  return true
end

local done = 0
for i = 2, #ARGV, 3 do
  if repair(ARGV[i], ARGV[i + 1], ARGV[i + 2]) then done = done + 1 end
end
flush()
return done
