package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"muster/allocator"
	"muster/allocator/keyring"
)

// keysCommands make and change files of keys.
type keysCommands struct {
	New       keysNewCommand       `cmd:"" help:"Make a file of fresh keys."`
	Rotate    keysRotateCommand    `cmd:"" help:"Take the next step of a rotation: add a key that is accepted only, or make it the active one."`
	Check     keysCheckCommand     `cmd:"" help:"Tell what a file of keys holds, and (with --ledger) whether it fits the ledger."`
	Reencrypt keysReencryptCommand `cmd:"" help:"Seal people's details of retired keys by the active one, now."`
	Forget    keysForgetCommand    `cmd:"" help:"Take a retired key out of the file and the ledger's register, where nothing needs it any more."`
}

// keysFlag names a file of keys that is written.
type keysFlag struct {
	Keys string `placeholder:"FILE" help:"The file of keys; none: keys.json in --data."`
}

// file is the file of keys of these flags.
func (f keysFlag) file(data string) string {
	if f.Keys != "" {
		return f.Keys
	}
	return filepath.Join(data, keyFileName)
}

type keysNewCommand struct {
	Keys  string `required:"" placeholder:"FILE" help:"The file to make; one that is there stays."`
	Adopt bool   `help:"For an installation that is in use already: what its secret made before is accepted too."`
}

// Run makes the file.
func (c *keysNewCommand) Run(p *program) error {
	if _, err := os.Lstat(c.Keys); !errors.Is(err, fs.ErrNotExist) {
		return usage("%s is there already, and stays as it is (%v)", c.Keys, err)
	}
	if err := storeKeys(c.Keys, keyring.New(c.Adopt)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "%s is made. Give every server the same, and keep a copy apart from the ledger's backups.\n", c.Keys)
	return err
}

type keysRotateCommand struct {
	Purpose []keyring.Purpose `required:"" placeholder:"PURPOSE" help:"hold, manage, payload or worklist; several separated by commas."`
	Data    string            `default:"./data" type:"path" placeholder:"DIR" help:"Folder of the embedded ledger."`
	keysFlag
}

// Run takes the next step of a rotation. Whoever runs it twice must have given the file to all servers in between.
func (c *keysRotateCommand) Run(p *program) error {
	name := c.file(c.Data)
	ring, err := loadKeys(name, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	for _, purpose := range c.Purpose {
		if len(ring.Of(purpose)) == 0 {
			return usage("--purpose %s is none of %v", purpose, keyring.Purposes)
		}
		key, err := ring.Rotate(purpose)
		if err != nil {
			return err
		}
		then := "active, and the one before it retired. Give this file to every server; then `muster keys reencrypt`, or wait for their own upkeep"
		if key.State == keyring.Next {
			then = "accepted, and makes nothing yet. Give this file to every server; then rotate again"
		}
		fmt.Fprintf(p.stdout, "%s is %s.\n", key.Name(), then)
	}
	return storeKeys(name, ring)
}

type keysCheckCommand struct {
	ledgerFlags
	keysFlag
}

// Run lists names and states of keys, never the keys.
func (c *keysCheckCommand) Run(p *program) error {
	ring, err := loadKeys(c.file(c.Data), slog.New(slog.NewTextHandler(p.stderr, nil)))
	if err != nil {
		return err
	}
	for _, purpose := range keyring.Purposes {
		for _, k := range ring.Of(purpose) {
			fmt.Fprintf(p.stdout, "%-12s %-8s %s\n", k.Name(), k.State, k.Fingerprint())
		}
	}
	if c.Ledger == "" {
		return nil
	}
	ledger, _, err := readyLedger(p.ctx, c.ledgerFlags, false, false)
	if err != nil {
		return err
	}
	if err := errors.Join(allocator.Admits(p.ctx, ledger, ring), ledger.Close()); err != nil {
		return fmt.Errorf("the keys and the ledger: %w", err)
	}
	_, err = fmt.Fprintln(p.stdout, "a server with these keys may serve this ledger")
	return err
}

// custody is the work of commands on people's details.
func (p *program) custody(l ledgerFlags, f secretFlags, work func(c *allocator.Custodian) error) error {
	log, err := p.logTo("warn")
	if err != nil {
		return err
	}
	ledger, _, err := readyLedger(p.ctx, l, false, false)
	if err != nil {
		return err
	}
	who, err := p.identity(ledger, f, l, log, true)
	if err == nil {
		err = work(who.custodian(ledger, log))
	}
	return errors.Join(err, ledger.Close())
}

// tell writes an answer as JSON.
func (p *program) tell(answer any) error {
	out := json.NewEncoder(p.stdout)
	out.SetIndent("", "  ")
	return out.Encode(answer)
}

type keysReencryptCommand struct {
	ledgerFlags
	secretFlags
	DryRun bool `help:"Count, and change nothing."`
}

// Run goes through all details once. It may be ended and repeated, and servers may serve meanwhile.
func (c *keysReencryptCommand) Run(p *program) error {
	return p.sweep(c.ledgerFlags, c.secretFlags, allocator.SweepTask{Rewrap: true, DryRun: c.DryRun})
}

// sweep goes through all details, and fails where some do not open.
func (p *program) sweep(l ledgerFlags, f secretFlags, task allocator.SweepTask) error {
	return p.custody(l, f, func(c *allocator.Custodian) error {
		report, err := c.Sweep(p.ctx, task)
		if err := errors.Join(err, p.tell(report)); err != nil {
			return err
		}
		if report.Unreadable > 0 {
			return fmt.Errorf("%d payloads do not open with these keys", report.Unreadable)
		}
		return nil
	})
}

type keysForgetCommand struct {
	ledgerFlags
	secretFlags
	Purpose keyring.Purpose `required:"" placeholder:"PURPOSE" help:"hold, manage, payload or worklist."`
	ID      int             `required:"" name:"id" placeholder:"NUMBER" help:"The key's number."`
}

// Run forgets a key: with it goes whatever it sealed and is still in backups.
func (c *keysForgetCommand) Run(p *program) error {
	name := keysFlag{c.Keys}.file(c.Data)
	if c.Keys == "" && c.Ledger != "" {
		return usage("--keys is needed: the file is changed")
	}
	ring, err := loadKeys(name, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := ring.Forget(c.Purpose, c.ID); err != nil {
		return usageError{err}
	}
	err = p.custody(c.ledgerFlags, c.secretFlags, func(k *allocator.Custodian) error { return k.ForgetKey(p.ctx, c.Purpose, c.ID) })
	if err != nil {
		return err
	}
	if err := storeKeys(name, ring); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s/%d is forgotten. Give %s to every server, and destroy the other copies of that key.\n", c.Purpose, c.ID, name)
	return err
}
