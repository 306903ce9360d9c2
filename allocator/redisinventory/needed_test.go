package redisinventory

import "testing"

func TestNeeded(t *testing.T) {
	common := declarations(`-- An essay.
local call, char = redis.call, string.char

-- One.
local function one(n)
  return char(n) -- uses char
end
local function two(n) return one(n) .. one(n) end
local A, B = {}, {}
local function unused() return two(1) end
`)
	for own, want := range map[string]string{
		"return 1\n":      "",
		"return B[1]\n":   "local A, B = {}, {}\n",
		"return two(3)\n": "local call, char = redis.call, string.char\nlocal function one(n)\nreturn char(n) -- uses char\nend\nlocal function two(n) return one(n) .. one(n) end\n",
	} {
		if got := needed(common, own); got != want {
			t.Errorf("for %q:\n%s\nwant:\n%s", own, got, want)
		}
	}
}

// Nothing of common.lua is there for no script.
func TestNothingIsUnneeded(t *testing.T) {
	text, err := scriptFiles.ReadFile("scripts/common.lua")
	if err != nil {
		t.Fatal(err)
	}
	all, err := scriptSources()
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for _, s := range all {
		for word := range words(s) {
			used[word] = true
		}
	}
	for _, p := range declarations(string(text)) {
		for _, name := range p.names {
			if !used[name] {
				t.Errorf("common.lua declares %s, and no script uses it", name)
			}
		}
	}
}
