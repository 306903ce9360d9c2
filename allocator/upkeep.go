package allocator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"muster/allocator/keyring"
)

// Enrol makes sure that this server has every key that the ledger's rows and people's tokens need, and that none of its
// numbers is another key elsewhere; then it notes the active ones. The error names the keys.
func Enrol(ctx context.Context, ledger Ledger, ring *keyring.Ring) error {
	return amendRegister(ctx, ledger, func(register keyring.Register) error {
		if len(register) == 0 { // a new ledger, or one from before there was a register: key 0 made what that has
			rows, err := ledger.Payloads(ctx, 0, 1)
			if err != nil {
				return err
			}
			if len(rows) > 0 {
				register.Use(keyring.Payload)
				register.Use(keyring.Manage)
			}
		}
		return register.Admit(ring)
	})
}

// Admits says what Enrol would, and notes nothing.
func Admits(ctx context.Context, ledger Ledger, ring *keyring.Ring) error {
	return amendRegister(ctx, ledger, func(register keyring.Register) error { return maps.Clone(register).Admit(ring) })
}

// ForgetKey notes that a retired key is needed no more. It refuses one for payloads as long as a payload needs it.
func (c *Custodian) ForgetKey(ctx context.Context, purpose keyring.Purpose, id int) error {
	if purpose == keyring.Payload {
		report, err := c.Sweep(ctx, SweepTask{DryRun: true})
		if err != nil {
			return err
		}
		if n := report.Keys[id]; n > 0 {
			return fmt.Errorf("%d payloads still need key %s/%d: let `muster keys reencrypt` seal them by the active one", n, purpose, id)
		}
	}
	return amendRegister(ctx, c.ledger, func(register keyring.Register) error {
		register.Forget(purpose, id)
		return nil
	})
}

// amendRegister changes the ledger's register of keys; others may at the same time.
func amendRegister(ctx context.Context, ledger Ledger, change func(keyring.Register) error) error {
	const name = "keys"
	kept, err := ledger.Agree(ctx, name, keyring.Register{}.Encode())
	for err == nil {
		var register keyring.Register
		if register, err = keyring.ParseRegister(kept); err != nil {
			return err
		}
		if err = change(register); err != nil {
			return err
		}
		wanted := register.Encode()
		if bytes.Equal(kept, wanted) {
			return nil
		}
		kept, err = ledger.Amend(ctx, name, kept, wanted)
	}
	return err
}

// Upkeep is how a server looks after people's details by itself. The zero value: not at all.
type Upkeep struct {
	Every     time.Duration // from the end of a pass through all of them to the beginning of the next
	Pause     time.Duration // between pages; default 100 ms
	Retention Retention
}

// upkeepNote is how far the servers of an installation have come together. It is kept in the ledger, so that a pass goes on
// where it was left, whoever left it.
type upkeepNote struct {
	Key   int        `json:"key"`   // the number of the key by which the pass seals
	After BookingKey `json:"after"` // swept up to here
	Ended int64      `json:"ended"` // when the pass ended, in ms since 1970; 0: it has not
}

func (n upkeepNote) encode() []byte {
	text, err := json.Marshal(n)
	if err != nil {
		panic(err) // numbers are always JSON
	}
	return text
}

// upkeepLook is how often a server looks whether a pass is due.
const upkeepLook = time.Minute

// upkeep passes through all details again and again, slowly, together with the other servers.
func (a *Allocator) upkeep(ctx context.Context, u Upkeep) {
	if u.Pause == 0 {
		u.Pause = 100 * time.Millisecond
	}
	a.pace.every(ctx, min(u.Every, upkeepLook), func(ctx context.Context) {
		for ctx.Err() == nil {
			more, err := a.custodian.upkeepStep(ctx, u)
			if err != nil && ctx.Err() == nil {
				a.log.Warn("people's details could not be looked after", "error", err)
			}
			if err != nil || !more || a.pace.wait(ctx, u.Pause) != nil {
				return
			}
		}
	})
}

// upkeepStep sweeps one page, where a pass is due. Of servers that seal by different keys, only those with the newest one
// do, so that none undoes what another did. A page that two servers sweep at once is swept once: see Custodian.
func (c *Custodian) upkeepStep(ctx context.Context, u Upkeep) (more bool, err error) {
	const name = "upkeep"
	kept, err := c.ledger.Agree(ctx, name, upkeepNote{}.encode())
	if err != nil {
		return false, ledgerError(err)
	}
	var note upkeepNote
	if err := json.Unmarshal(kept, &note); err != nil {
		return false, fmt.Errorf("the ledger's note of upkeep: %w", err)
	}
	now, err := c.ledger.Now(ctx)
	if err != nil {
		return false, ledgerError(err)
	}
	active := c.secret.vault.Active()
	switch {
	case note.Key > active:
		return false, nil
	case note.Key < active:
		note = upkeepNote{Key: active}
	case note.Ended != 0 && now.UnixMilli()-note.Ended < u.Every.Milliseconds():
		return false, nil
	case note.Ended != 0:
		note = upkeepNote{Key: active}
	}
	report, next, err := c.sweepPage(ctx, SweepTask{Retention: u.Retention, Rewrap: true}, note.After)
	if err != nil {
		return false, err
	}
	if report.Changed > 0 {
		c.log.Info("people's details looked after", "lapsed", report.Lapsed, "rewrapped", report.Rewrapped, "changed", report.Changed)
	}
	if note.After = next; next == 0 {
		note.Ended = now.UnixMilli()
	}
	_, err = c.ledger.Amend(ctx, name, kept, note.encode())
	return next != 0, ledgerError(err)
}
