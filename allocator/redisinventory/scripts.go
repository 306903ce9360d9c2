package redisinventory

import (
	"crypto/sha1"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

// method names a script.
type method int

const (
	methodOpen method = iota
	methodHold
	methodExtend
	methodRelease
	methodPin
	methodReseat
	methodSettle
	methodState
	methodReap
	methodStuck
	methodApply
	methodBegin
	methodLoad
	methodFinish
	methodReadSite
	methodReadPlaces
	methodRepair
	methodUsage
	methodChanges
	methods
)

// scriptParts are the files of each method's script, after common.lua.
var scriptParts = [methods][]string{
	methodOpen: {"open"}, methodHold: {"hold"}, methodExtend: {"extend"}, methodRelease: {"release"}, methodPin: {"pin"},
	methodReseat: {"reseat"}, methodSettle: {"late", "settle"}, methodState: {"state"}, methodReap: {"reap"},
	methodStuck: {"stuck"}, methodApply: {"apply"}, methodBegin: {"begin"}, methodLoad: {"load"},
	methodFinish: {"late", "finish"}, methodReadSite: {"readsite"}, methodReadPlaces: {"readplaces"},
	methodRepair: {"repair"}, methodUsage: {"usage"},
	methodChanges: {"changes"},
}

// fastParts are the files that come before all else in a method's script.
var fastParts = map[method]string{methodHold: "holdfast", methodPin: "pinfast", methodSettle: "settlefast"}

// script is a text and the name that EVALSHA calls it by.
type script struct{ text, sha string }

// sources are read once in a process: they are part of the program.
var sources = sync.OnceValues(scriptSources)

// scriptSources reads the embedded files: what each script needs of common.lua, and its own.
func scriptSources() (sources [methods]string, err error) {
	read := func(name string) string {
		text, readErr := scriptFiles.ReadFile("scripts/" + name + ".lua")
		if readErr != nil {
			err = errors.Join(err, fmt.Errorf("script %s: %w", name, readErr))
		}
		return string(text)
	}
	common := declarations(read("common"))
	for m, parts := range scriptParts {
		var own string
		for _, name := range parts {
			own += compact(read(name))
		}
		if name, ok := fastParts[method(m)]; ok {
			sources[m] = compact(read(name))
		}
		sources[m] += needed(common, own) + own
	}
	return sources, err
}

// head is the part of each script that makes it the incarnation's own: a node that was not asked to load exactly this
// text, for exactly this incarnation, answers NOSCRIPT.
func head(k keys, epoch int64, identity string, o *Options) string {
	var epoch4 [4]byte
	binary.BigEndian.PutUint32(epoch4[:], uint32(epoch))
	return fmt.Sprintf("local EPOCH, EPOCH4, INCARNATION = %d, %s, %s\n", epoch, luaString(string(epoch4[:])), luaString(incarnationText(epoch, identity))) +
		fmt.Sprintf("local K_EPOCH, K_SITE, K_SLOT, K_MORE, K_OWN, K_GRANT = %s, %s, %s, %s, %s, %s\n",
			luaString(k.epoch), luaString(k.site), luaString(k.slot), luaString(k.more), luaString(k.own), luaString(k.grant)) +
		fmt.Sprintf("local K_DAYS, K_USED, K_EXP, K_LATER, K_KEEP, K_STUCK, K_ASIDE, K_FEED = %s, %s, %s, %s, %s, %s, %s, %s\n",
			luaString(k.days), luaString(k.used), luaString(k.expiry), luaString(k.later),
			luaString(k.keep), luaString(k.stuck), luaString(k.aside), luaString(k.feed)) +
		fmt.Sprintf("local KEEP_MS, SET_ASIDE, FEED, REAP_AFTER_MS = %d, %d, %d, %d\n",
			o.KeyLifetime.Milliseconds(), o.SetAside, o.Feed, max(0, o.ReapAfter.Milliseconds()))
}

// incarnationText is what a shard's epoch key holds.
func incarnationText(epoch int64, identity string) string {
	return fmt.Sprintf("%d %s", epoch, identity)
}

// scriptsOf makes the scripts of one incarnation of a shard.
func scriptsOf(sources *[methods]string, k keys, epoch int64, identity string, o *Options) (all [methods]script) {
	top := head(k, epoch, identity, o)
	for m := range all {
		text := top + sources[m]
		sum := sha1.Sum([]byte(text))
		all[m] = script{text, hex.EncodeToString(sum[:])}
	}
	return all
}

// luaString writes a literal that Lua 5.1 reads as exactly these bytes.
func luaString(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for i := range len(text) {
		fmt.Fprintf(&out, "\\%03d", text[i])
	}
	out.WriteByte('"')
	return out.String()
}
