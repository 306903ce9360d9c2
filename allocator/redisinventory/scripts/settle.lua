-- Settle and Free: tell the inventory what the ledger recorded.
--
-- KEYS[1]  the shard's epoch key
-- ARGV[1]  fast1 sites2 items2 epoch4: fast is 1 where every message settles one row; the epoch is that of the messages
-- ARGV[2…] the sites; and for each item site2 and a late message (see late.lua)
-- Returns  for each item: 0 applied, 1 set aside, 2 displaced, 3 ignored
-- Promises places of other owners stay; an id that has ended stays ended; applied at any epoch not newer than the site's;
--          at most SET_ASIDE messages are kept for a site that is being rebuilt, more make its builder begin again.
local bad = gate(true)
if bad then return bad end
local epoch, messages, sites = u4(ARGV[1], 6), {}, {}
for i = 1, u2(ARGV[1], 2) do sites[i] = ARGV[1 + i] end
fill(K_SITE, sites, T, decodeSite)
local apply = {}
for i = 2 + #sites, #ARGV do
  local m = { site = sites[u2(ARGV[i], 1)], text = sub(ARGV[i], 3) }
  messages[#messages + 1] = m
  local t = T[m.site]
  if t and t.builder == '' and epoch <= t.epoch then apply[#apply + 1] = m end
end
warmLate(apply)
local outcomes, aside = {}, {}
for i, m in ipairs(messages) do
  local t = T[m.site]
  if not t then
    outcomes[i] = 3
  elseif t.builder ~= '' then
    local q = aside[m.site]
    if not q then
      q = { n = call('LLEN', K_ASIDE .. m.site) }
      aside[m.site] = q
    end
    if q.n + #q >= SET_ASIDE then
      outcomes[i] = 3
      if t.overflowed == 0 then
        t.overflowed = 1
        Tdirty[m.site] = true
      end
    else
      q[#q + 1] = m.text
      outcomes[i] = 1
    end
  elseif epoch > t.epoch then
    outcomes[i] = 3
  else
    outcomes[i] = late(m)
  end
end
for siteID, q in pairs(aside) do bulk('RPUSH', K_ASIDE .. siteID, q) end
flush()
return outcomes
