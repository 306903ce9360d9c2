package redisinventory

import "strings"

// WithoutFastPaths takes the fast paths out of an inventory's scripts. No shard may have been opened.
func WithoutFastPaths(inv *Inventory) error {
	for m, name := range fastParts {
		text, err := scriptFiles.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			return err
		}
		inv.sources[m] = strings.TrimPrefix(inv.sources[m], compact(string(text)))
	}
	return nil
}
