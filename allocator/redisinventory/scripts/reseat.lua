-- Reseat: finds places by matching for a lost grant, or other ones for claims whose places are another's by the ledger.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  site
-- ARGV[2]  hold id
-- ARGV[3]  deadline6 total1
-- ARGV[4]  length4 grace4 print8 #site1 site n1 {start4 len2 #service1 service}n of the listed claims, for a grant made anew
-- ARGV[5…] three for each listed claim: index1 date3 revision6 place3 taken18 #service1 service taken's service;
--          slot key; bounds with the codes' own names (see decodeBounds)
-- Returns  outcome1 state1 claim1 revision6 epoch4 generation7 id18 n1 {place3 revision4}n reason
-- Promises where the request has another grant nothing is done, and id18 names it; a refused absent grant changes nothing;
--          a refused present one keeps what no row owns; a grant that has ended, or whose time is up, is left alone;
--          repeated, it moves the listed claims once more at most.
local bad = gate()
if bad then return bad end
local id, siteID = ARGV[2], ARGV[1]

-- answer writes the reply; pinned is the grant where its places are to be told.
local function answer(outcome, state, claim, revision, t, gid, pinned, reason)
  return char(outcome, state, claim) .. p6(revision) .. p4(t and t.epoch or 0) .. p7(t and t.generation or 0) .. gid ..
    char(pinned and pinned.n or 0) .. (pinned and proven(pinned, t) or '') .. reason
end

local indexes, taken, takenFor, claims = {}, {}, {}, {}
for i = 5, #ARGV, 3 do
  local p, n = ARGV[i], #claims + 1
  indexes[n] = byte(p, 1)
  taken[n] = sub(p, 14, 31)
  takenFor[n] = sub(p, 33 + byte(p, 32))
  claims[n] = { ARGV[i + 1], sub(p, 2, 10), decodeBounds(ARGV[i + 2]), sub(p, 33, 32 + byte(p, 32)), nil, u3(p, 11) }
end

local t, building = ready(siteID)
if not t then return answer(building and 6 or 5, 0, 0, 0, nil, id, nil, '') end
local deadline, total = u6(ARGV[3], 1), byte(ARGV[3], 7)
local g = grant(sub(id, 1, 9))
if g and g.id ~= id then return answer(7, 0, 0, 0, t, g.id, nil, '') end
if not g then
  if now >= deadline + u4(ARGV[4], 5) then return answer(7, EXPIRED, 0, 0, t, id, nil, '') end
  if #claims ~= total then return answer(7, 0, 0, 0, t, id, nil, '') end
  local places, outcome, claim, revision = choose(t.revisions, 1, claims)
  if not places then return answer(outcome, 0, indexes[claim + 1], revision, t, id, nil, '') end
  newGrant(id, PINNED, 1, deadline, ARGV[4], places, claims)
  for i, c in ipairs(claims) do take(c[1], places[i], id, false, c[4]) end
  lapses(deadline + u4(ARGV[4], 5), id)
  keep(id)
  g = exact(id)
  flush()
  return answer(0, PINNED, 0, 0, t, id, g, '')
end
local state = stateOf(g)
if not alive(g) or state == EXPIRED then return answer(7, state, 0, 0, t, id, nil, g.reason) end

for i, c in ipairs(claims) do
  give(c[1], g.places[indexes[i] + 1], id, false)
  if find(taken[i], '[^%z]') and not place(c[1], c[6]) then
    take(c[1], c[6], taken[i], true, takenFor[i])
  end
end
local preferred = {}
for i, c in ipairs(claims) do
  preferred[i] = c[6]
  c[6] = nil
end
local places, outcome, claim, revision = choose(t.revisions, 1, claims)
if not places then
  for i, c in ipairs(claims) do
    local old = g.places[indexes[i] + 1]
    if not place(c[1], old) then take(c[1], old, id, false, c[4]) end
  end
  flush()
  return answer(outcome, state, indexes[claim + 1], revision, t, id, nil, g.reason)
end
for i, c in ipairs(claims) do
  g.places[indexes[i] + 1] = places[i]
  g.revisions[indexes[i] + 1] = sub(c[2], 6)
  take(c[1], places[i], id, false, c[4])
end
setState(g, PINNED)
flush()
return answer(0, PINNED, 0, 0, t, id, g, g.reason)
