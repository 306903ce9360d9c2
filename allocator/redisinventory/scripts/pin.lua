-- Pin: stops holds from expiring.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  sites2 items2
-- ARGV[2…] the sites; the items' request keys; and for each item: stamp9, the token's deadline6 grace4, site2
-- Returns  for each item: '\1' site not built, '\2' site being rebuilt, or
--          '\0' epoch4 generation7 id18 state1 n1 {place3 revision4}n #site1 site #claims2 claims reason; inTime1 in front of
--          each. Site and claims (as claimsOf writes them) are those of another grant of the request, else empty.
--          Or, by the fast path: '\3' state1 n1 {place3 revision4}n, inTime1 in front; and for each site generation7 built9:
--          the caller makes unproven revisions 0
-- Promises a held grant in time becomes pinned; nothing else changes.
local bad = gate()
if bad then return bad end
local sites, ids, nSites, nItems = {}, {}, u2(ARGV[1], 1), u2(ARGV[1], 3)
for i = 1, nSites do sites[i] = ARGV[1 + i] end
for i = 1, nItems do ids[i] = ARGV[1 + nSites + i] .. sub(ARGV[1 + nSites + nItems + i], 1, 9) end
fill(K_SITE, sites, T, decodeSite)
warmGrants(ids)
local replies = {}
for i = 1, nItems do
  local id, token = ids[i], ARGV[1 + nSites + nItems + i]
  local inTime = now < u6(token, 10) + u4(token, 16) and '\1' or '\0'
  local t, building = ready(sites[u2(token, 20)])
  if not t then
    replies[#replies + 1] = inTime .. (building and '\2' or '\1')
  else
    local g = grant(sub(id, 1, 9))
    local state, n, places, other, reason = 0, 0, '', '\0\0\0', ''
    if g and g.id ~= id then
      if g.n > 0 then
        local claims = claimsOf(g)
        id, other = g.id, char(#g.site) .. g.site .. p2(#claims) .. claims
      end
    elseif g then
      state, reason = stateOf(g), g.reason
      if state == HELD then
        state = PINNED
        setState(g, PINNED)
      end
      if state == PINNED or state == BOOKED then
        n, places = g.n, proven(g, t)
      end
    end
    replies[#replies + 1] = inTime .. '\0' .. p4(t.epoch) .. p7(t.generation) .. id .. char(state, n) .. places .. other .. reason
  end
end
flush()
return replies
