-- A part of settle, free and finish: what the ledger recorded, applied.
-- A late message is kind1 ('S', 'F' or 'P' for a partial free) id18 #reason1 reason {start4 len2 place3 #service1 service}*.

local function rowsOf(siteID, m)
  local rows, at = {}, 21 + byte(m, 20)
  while at <= #m do
    local l = byte(m, at + 9)
    rows[#rows + 1] = { siteID .. sub(m, at, at + 5), u3(m, at + 6), sub(m, at + 10, at + 9 + l) }
    at = at + 10 + l
  end
  return rows
end

local function warmLate(messages)
  local ids, rows = {}, {}
  for i, m in ipairs(messages) do
    ids[i] = sub(m.text, 2, 19)
    m.rows = rowsOf(m.site, m.text)
    for _, row in ipairs(m.rows) do rows[#rows + 1] = row end
  end
  warmPlaces(warmGrants(ids), rows)
end

-- settle books the rows' places that are free or the grant's own, and gives back its others. 0 applied, 2 displaced.
local function settle(m)
  local id, outcome, mine = sub(m.text, 2, 19), 0, {}
  local g = exact(id)
  if g and g.state == ENDED then return 0 end
  for _, row in ipairs(m.rows) do
    local v = place(row[1], row[2])
    if g and gone(g, row[1], row[2]) then
      -- this row ended before
    elseif not v or sub(v, 1, 18) == id then mine[#mine + 1] = row else outcome = 2 end
  end
  recorded(id)
  for _, row in ipairs(mine) do
    if not place(row[1], row[2]) then take(row[1], row[2], id, true, row[3]) end
  end
  return outcome
end

local function free(m)
  local id = sub(m.text, 2, 19)
  if sub(m.text, 1, 1) == 'P' then
    local g = markable(id, m.site)
    if g.id == id then
      for _, row in ipairs(m.rows) do
        if not gone(g, row[1], row[2]) then g.gone = g.gone .. sub(row[1], #row[1] - 5) .. p3(row[2]) end
      end
      Gdirty[g.key] = true
    end
  else
    finish(id, m.site, sub(m.text, 21, 20 + byte(m.text, 20)))
  end
  for _, row in ipairs(m.rows) do give(row[1], row[2], id, true) end
  return 0
end

local function late(m)
  if sub(m.text, 1, 1) == 'S' then return settle(m) end
  return free(m)
end
